/**
 * A gateway: brings the operations of clients to whoever leads, holds and repeats them as the real one does, and answers the client
 * what came of it.
 *
 * What is known not to have happened is asked again for a while. A change of which nobody knows what became is asked again only
 * when changes carry names by which the replicas know them again; else the client learns that nobody knows.
 */
import type { OperationStatus, WriteDone } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { Ending, Operation } from '#common/testing/history';
import type { Answered, RecordCommand } from '../../src/core/kernel/effects';
import type { SimBalancer } from './balancer';
import { KnownTable, type GatewayWorld } from './gateway-world';
import { ReadAttempt } from './read-attempt';
import { rowOf } from './rows';
import type { Dice } from './scheduler';

const HOLD_MS = 1_500;
const ANSWER_MS = 350;
const PAUSE_MS = 30;
/** No change is repeated later than this after it was first asked for: long before it is forgotten. */
const REPEAT_WITHIN_MS = 800;

export class SimGateway {
  private readonly open = new Set<(ending: Ending) => void>();
  private readonly dice: Dice;
  private nextName = 1;
  private readonly table: KnownTable;

  constructor(
    readonly name: string,
    private readonly world: GatewayWorld,
    number: number,
  ) {
    this.dice = world.scheduler.dice(2_000 + number);
    this.table = new KnownTable(world);
  }

  /** Ends and is there again: clients that wait lose their connection. */
  restart(): void {
    this.world.scheduler.note(() => `${this.name} ends, and another one takes its place`);
    for (const end of [...this.open]) end({ how: 'unknown' });
  }

  /** `done` is called once with what the client is answered. */
  perform(operation: Operation, done: (ending: Ending) => void): void {
    let isOpen = true;
    const end = (ending: Ending): void => {
      if (!isOpen) return;
      isOpen = false;
      this.open.delete(end);
      done(operation.kind === 'read' && ending.how === 'unknown' ? { how: 'none' } : ending);
    };
    this.open.add(end);
    const startMs = this.world.scheduler.nowMs;
    const isDue = (): boolean => isOpen && this.world.scheduler.nowMs < startMs + HOLD_MS;
    if (operation.kind === 'read') {
      this.read(operation, isDue, end);
      return;
    }
    const name = `${this.name}.${this.nextName++}`;
    const held: Held = { isDue, isUnknown: false, configId: this.table.configId, end };
    held.end = (ending) => {
      if (isOpen && this.dice.chance(0.1)) this.askAgain(operation, name, ending, startMs, held.configId);
      end(ending);
    };
    this.change(operation, name, held);
  }

  /** Asks for a change again that was answered, or what became of it: the answer must be the same. */
  private askAgain(operation: Operation, name: string, first: Ending, startMs: number, configId: number): void {
    const { scheduler, network, post, named } = this.world;
    const balancer = this.leader();
    const isAnswered = first.how === 'done' || first.how === 'refused';
    if (!named || !isAnswered || balancer === undefined || scheduler.nowMs - startMs > REPEAT_WITHIN_MS) return;
    const compare = (again: object): void => {
      // What was answered has been removed with everything else.
      if (configId !== this.world.configId()) return;
      if (JSON.stringify(again) !== JSON.stringify(first))
        scheduler.violate(
          `I3: ${name} ended ${JSON.stringify(first)}, and was answered ${JSON.stringify(again)} later`,
        );
    };
    if (this.dice.chance(0.5)) {
      const batch = post.expect(this.name, operation, (answered) => {
        const again = endingOf(answered);
        if (again.how === 'done' || again.how === 'refused') compare(again);
      });
      const command = commandOf(batch, operation, name);
      network.send(this.name, balancer.name, () => {
        balancer.dispatch({ on: 'records', configId, commands: [command] });
      });
      return;
    }
    const batch = post.expect(this.name, operation, ({ result }) => {
      if (result.error !== undefined) return;
      const { outcome, added } = (result as unknown as { status: OperationStatus }).status;
      // How many rows it was is not known when one of the shards cannot be looked at.
      if (outcome !== 'committed') compare({ how: outcome });
      else compare(added === undefined && first.how === 'done' ? first : { how: 'done', added });
    });
    network.send(this.name, balancer.name, () => {
      balancer.dispatch({ on: 'operation', batch, operation: name });
    });
  }

  /** One attempt to read; where that comes to nothing, another one. */
  private read(operation: Operation & { kind: 'read' }, isDue: () => boolean, end: (ending: Ending) => void): void {
    const { world } = this;
    if (!isDue()) {
      end({ how: 'none' });
      return;
    }
    const again = (): void => {
      world.scheduler.after(PAUSE_MS, () => {
        this.read(operation, isDue, end);
      });
    };
    const balancer = this.leader();
    if (balancer === undefined) again();
    else {
      new ReadAttempt(this.name, world, operation, () => this.leader(), this.table).run(balancer, (values) => {
        if (values === null) again();
        else end({ how: 'seen', values });
      });
    }
  }

  private change(operation: Operation, name: string, held: Held): void {
    const { scheduler, network, post, named } = this.world;
    const { configId } = this.table;
    // What may have been done under the configuration before must not be done once more under this one.
    const isReplaced = configId !== held.configId;
    if (!held.isDue() || (held.isUnknown && isReplaced)) {
      held.end(held.isUnknown ? { how: 'unknown' } : { how: 'none' });
      return;
    }
    held.configId = configId;
    const again = (): void => {
      scheduler.after(PAUSE_MS, () => {
        this.change(operation, name, held);
      });
    };
    const balancer = this.leader();
    if (balancer === undefined) {
      again();
      return;
    }
    let isOver = false;
    const conclude = (ending: Ending): void => {
      if (ending.how === 'done' || ending.how === 'refused') held.end(ending);
      if (isOver) return;
      isOver = true;
      if (ending.how === 'unknown') held.isUnknown = true;
      if (ending.how === 'unknown' && !named) held.end(ending);
      else if (ending.how !== 'done' && ending.how !== 'refused') again();
    };
    const batch = post.expect(this.name, operation, (answered) => {
      if (isOutdated(answered)) this.table.ask();
      conclude(endingOf(answered));
    });
    scheduler.after(ANSWER_MS, () => {
      conclude({ how: 'unknown' });
    });
    const command = commandOf(batch, operation, named ? name : null);
    const deliver = (): void => {
      balancer.dispatch({ on: 'records', configId, commands: [command] });
    };
    if (named) {
      // It comes twice only since a gateway sends it twice: that knows that one of them may be under way when the other is answered.
      if (network.send(this.name, balancer.name, deliver)) held.isUnknown = true;
    } else network.sendOnce(this.name, balancer.name, deliver);
  }

  private leader(): SimBalancer | undefined {
    const serving = this.world.serving();
    return serving.length === 0 ? undefined : this.dice.oneOf(serving);
  }
}

/** A change on its way through its attempts. */
interface Held {
  isDue: () => boolean;
  /** One of the attempts may have succeeded, or may still. */
  isUnknown: boolean;
  /** Under which configuration it was asked for last. */
  configId: number;
  end: (ending: Ending) => void;
}

function commandOf(batch: number, operation: Operation, name: string | null): RecordCommand {
  const { keys } = operation;
  const rows = 'tokens' in operation ? operation.tokens.map((token, place) => rowOf(keys[place]!, token)) : [];
  const request = { batch, id: 1, ...(name === null ? {} : { operation: name, fingerprint: keys.join() }) };
  switch (operation.kind) {
    case 'write':
      return { op: 'write', onConflict: operation.onConflict, keys, rows, ...request };
    case 'update':
      return { op: 'update', key: keys[0], row: rows[0]!, ...request };
    case 'delete':
      return { op: 'delete', key: keys[0], ...request };
    case 'read':
      return { op: 'read', low: keys[0], high: keys[keys.length - 1]!, batch, id: 1 };
  }
}

function endingOf({ result }: Answered): Ending {
  if (result.error === undefined) return { how: 'done', added: (result as unknown as WriteDone).added };
  return endingOfError(result.error);
}

/** What an error says about what happened. */
function endingOfError({ code }: ErrorBody): Ending {
  if (code === 'KEY_EXISTS' || code === 'KEY_NOT_FOUND') return { how: 'refused' };
  const isCertain =
    code === 'SHARD_UNAVAILABLE' || code === 'BUSY' || code === 'CONFIG_CHANGED' || code === 'NO_LEADER';
  const isNothing = isCertain || code === 'NOT_CONFIGURED' || code === 'KEY_OUT_OF_RANGE';
  return { how: isNothing ? 'none' : 'unknown' };
}

function isOutdated({ result }: Answered): boolean {
  return result.error?.code === 'CONFIG_CHANGED';
}
