/** The clients of a story: each asks one thing of one balancer, and gets one answer, or none. */
import type { OperationStatus, RangeRead, WriteDone } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import { splitRows } from '#common/nats/lines';
import type { Answered, RecordCommand } from '../../../src/core/kernel/effects';
import type { Balancer, World } from './world';

type Change = Exclude<RecordCommand, { op: 'read' }>;
type Draft<C> = C extends unknown ? Omit<C, 'batch' | 'id'> : never;

/** What a client can ask. */
export type Wish =
  | { kind: 'change'; command: Draft<Change> }
  | { kind: 'read'; low: number; high: number; isHeld: boolean }
  | { kind: 'lookup'; operation: string };

interface Client {
  number: number;
  /** As the story puts it. */
  text: string;
  wish: Wish;
  balancer: Balancer;
  isDone: boolean;
  plan: RangeRead['plan'] | null;
}

export class Clients {
  private readonly clients: Client[] = [];

  constructor(
    private readonly world: World,
    private readonly say: (line: string) => void,
  ) {}

  /** Asks the balancer. Returns the client's number. */
  ask(balancer: Balancer, text: string, wish: Wish): number {
    const number = this.clients.length + 1;
    this.clients.push({ number, text, wish, balancer, isDone: false, plan: null });
    const { configId } = balancer.cluster;
    const name = { batch: number, id: 1 };
    if (wish.kind === 'lookup') balancer.dispatch({ on: 'operation', batch: number, operation: wish.operation });
    else if (wish.kind === 'read') {
      const { low, high } = wish;
      balancer.dispatch({ on: 'records', configId, commands: [{ ...name, op: 'read', low, high }] });
    } else balancer.dispatch({ on: 'records', configId, commands: [{ ...wish.command, ...name }] });
    return number;
  }

  isDone(number: number): boolean {
    return this.clients[number - 1]?.isDone === true;
  }

  /** Those who have got no answer. */
  unanswered(): string[] {
    const waiting = this.clients.filter(({ isDone }) => !isDone);
    return waiting.length === 0
      ? ['every client has been answered']
      : waiting.map((client) => `${nameOf(client)} has no answer`);
  }

  /** Says so of one who has got no answer yet. */
  leaveWaiting(number: number): void {
    const client = this.clients[number - 1]!;
    if (!client.isDone) this.say(`${nameOf(client)} has no answer yet`);
  }

  /** What a balancer answers. */
  answered(number: number, { result, row }: Answered): void {
    const client = this.clients[number - 1]!;
    if (result.error !== undefined) this.answer(client, refusal(result.error));
    else if (client.wish.kind === 'lookup') this.answer(client, statusText(result as unknown as StatusResult));
    else if (client.wish.kind === 'change')
      this.answer(client, `done, rows: ${String((result as unknown as WriteDone).added)}`);
    else if (!('plan' in result)) this.answer(client, row === undefined ? 'no such record' : valueOf(row));
    else {
      client.plan = (result as unknown as RangeRead).plan;
      const vats = client.plan.parts.map(({ shard, vat }) => `${shard} at VAT ${vat}`).join(', ');
      this.say(`${nameOf(client)} may read ${vats}`);
      if (!client.wish.isHeld) this.pull(number);
    }
  }

  /** Fetches the rows of a range from the replicas, then asks the leader whether it still leads, as a gateway does. */
  pull(number: number): void {
    const client = this.clients[number - 1]!;
    const { plan, balancer } = client;
    if (plan === null) throw new Error(`client ${number} has no range to read`);
    const values: string[] = [];
    const next = (index: number): void => {
      const part = plan.parts[index];
      if (part === undefined) {
        const word = balancer.snapshotLeases({ release: [plan.snapshotLease], renew: [] });
        if (word?.unknown.length === 0) this.answer(client, values.join(' ') || 'nothing there');
        else this.answer(client, `nothing: ${balancer.name} does not say that it still leads`);
        return;
      }
      const { shard, vat, low, high, servers } = part;
      const [server = ''] = servers;
      this.world.read(server, { epoch: plan.epoch, reads: [{ shard, vat, low, high }], maxBytes: 0 }, (outcome) => {
        if (!outcome.ok) this.answer(client, refusal(outcome.error));
        else {
          for (const line of splitRows(outcome.value.text)) values.push(valueOf(line));
          next(index + 1);
        }
      });
    };
    next(0);
  }

  private answer(client: Client, what: string): void {
    client.isDone = true;
    this.say(`${nameOf(client)} gets: ${what}`);
  }
}

interface StatusResult {
  status: OperationStatus;
}

function statusText({ status: { outcome, added, refusal: reason } }: StatusResult): string {
  if (outcome === 'refused') return `refused: ${refusal(reason!)}`;
  return added === undefined ? outcome : `${outcome}, rows: ${added}`;
}

function nameOf({ number, text }: Client): string {
  return `client ${number} (${text})`;
}

function valueOf(row: string): string {
  const { id, value } = JSON.parse(row) as { id: number; value: string };
  return `${id}=${value}`;
}

/** With the status that a gateway answers such a code with. */
function refusal({ code, message }: ErrorBody): string {
  const status = STATUS[code];
  return `${code}${status === undefined ? '' : ` (${status})`}, ${message}`;
}

const STATUS: Partial<Record<ErrorBody['code'], number>> = {
  KEY_NOT_FOUND: 404,
  KEY_EXISTS: 409,
  ID_REUSED: 422,
  SHARD_UNAVAILABLE: 503,
  BUSY: 503,
  CONFIG_CHANGED: 503,
  OUTCOME_UNKNOWN: 504,
};
