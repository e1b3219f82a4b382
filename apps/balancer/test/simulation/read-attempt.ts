/** One attempt of a gateway to read: of one key by way of the leader, of a range in pages from the replicas, behind which the leader says that it still leads. */
import type { RangeRead } from '#common/contracts/commands';
import type { NodeReadReply } from '#common/contracts/node';
import { splitRows, type RawLines } from '#common/nats/lines';
import type { Operation } from '#common/testing/history';
import type { SimBalancer } from './balancer';
import type { GatewayWorld, KnownTable } from './gateway-world';
import { keyOf, markOf } from './rows';
import type { WiredReplica } from './wire';

const READ_TIMEOUT_MS = 200;
const ANSWER_MS = 300;
const PAGE_BYTES = 60;

type Values = (string | null)[];

export class ReadAttempt {
  private readonly rows = new Map<number, string>();
  private done: (values: Values | null) => void = () => undefined;
  private isOver = false;

  constructor(
    private readonly gateway: string,
    private readonly world: GatewayWorld,
    private readonly operation: Operation & { kind: 'read' },
    private readonly leader: () => SimBalancer | undefined,
    private readonly table: KnownTable,
  ) {}

  /** `done` gets the values in the order of the keys, or null when nothing came of it. */
  run(balancer: SimBalancer, done: (values: Values | null) => void): void {
    this.done = done;
    const { network, post, scheduler } = this.world;
    const { configId } = this.table;
    const { keys } = this.operation;
    let isPlanned = false;
    const batch = post.expect(this.gateway, this.operation, ({ result, row }) => {
      if (isPlanned) return;
      isPlanned = true;
      if (result.error?.code === 'CONFIG_CHANGED') this.table.ask();
      if (result.error !== undefined) this.finish(null);
      else if ('plan' in result) this.part((result as unknown as RangeRead).plan, 0);
      else this.finish([row === undefined ? null : markOf(row)]);
    });
    scheduler.after(ANSWER_MS, () => {
      if (!isPlanned) this.finish(null);
    });
    const command = { batch, id: 1, op: 'read' as const, low: keys[0]!, high: keys[keys.length - 1]! };
    network.send(this.gateway, balancer.name, () => {
      balancer.dispatch({ on: 'records', configId, commands: [command] });
    });
  }

  private part(plan: RangeRead['plan'], index: number): void {
    const part = plan.parts[index];
    if (part === undefined) this.confirm(plan.snapshotLease);
    else this.page(plan, index, part.low, part.servers);
  }

  private page(plan: RangeRead['plan'], index: number, low: number, [server, ...others]: readonly string[]): void {
    if (server === undefined) {
      this.finish(null);
      return;
    }
    const { shard, vat, high } = plan.parts[index]!;
    const { epoch } = plan;
    const request = { epoch, reads: [{ shard, vat, low, high }], maxBytes: PAGE_BYTES };
    const label = (): string => `read ${shard} [${low}, ${high}] at ${vat}`;
    const { servers, read } = this.world;
    const work = async (replica: WiredReplica): Promise<RawLines<NodeReadReply>> => {
      const page = await replica.read(request);
      read(epoch, server);
      return page;
    };
    servers.call({ from: this.gateway, server, label, timeoutMs: READ_TIMEOUT_MS, work }, (outcome) => {
      if (!outcome.ok) {
        this.page(plan, index, low, others);
        return;
      }
      for (const row of splitRows(outcome.value.text)) this.keep(row);
      const next = outcome.value.header.pages[0]?.next ?? null;
      if (next === null) this.part(plan, index + 1);
      else this.page(plan, index, next, [server, ...others]);
    });
  }

  private keep(row: string): void {
    const key = keyOf(row);
    if (this.rows.has(key)) this.world.scheduler.violate(`I3: a range read found the key ${key} twice`);
    this.rows.set(key, markOf(row));
  }

  /** Whoever leads now is asked; it does not know the snapshot leases of others. */
  private confirm(snapshotLease: number): void {
    const { network } = this.world;
    const balancer = this.leader();
    if (balancer === undefined) {
      this.finish(null);
      return;
    }
    const request = {
      from: this.gateway,
      to: balancer.name,
      timeoutMs: ANSWER_MS,
      label: () => `release ${snapshotLease}`,
    };
    network.ask<boolean>(
      request,
      (reply) => {
        const word = balancer.snapshotLeases({ release: [snapshotLease], renew: [] });
        if (word !== undefined) reply({ ok: true, value: word?.unknown.length === 0 });
      },
      (outcome) => {
        const isCurrent = outcome.ok && outcome.value;
        this.finish(isCurrent ? this.operation.keys.map((key) => this.rows.get(key) ?? null) : null);
      },
    );
  }

  private finish(values: Values | null): void {
    if (this.isOver) return;
    this.isOver = true;
    this.done(values);
  }
}
