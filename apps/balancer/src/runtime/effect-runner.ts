/** Performs the core's effects through the ports and hands back what came of them. The only place where the core is stepped. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ShardlineError, type ErrorBody } from '#common/contracts/errors';
import type { SnapshotLeasesReply, SnapshotLeasesRequest } from '#common/contracts/commands';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { Logger } from '#common/logging/logger';
import type { BalancerCore } from '../core/balancer-core';
import type { AdminCommand, AdminResult, CoreEvent, Effect, Result } from '../core/kernel/effects';
import type { LeaderRecord } from '../core/leadership/leadership';
import type { CatalogStore } from '../ports/catalog-store';
import type { EventSink } from '../ports/event-sink';
import type { NodeLauncher } from '../ports/node-launcher';
import type { ShardTransport } from '../ports/shard-transport';
import type { BatchReplies } from './batch-replies';
import type { BalancerMetrics } from './balancer-metrics';

/** How often the core gets the time. */
const TICK_MS = 50;

/** Everything that effects are performed with. */
export interface EffectPorts {
  catalog: CatalogStore;
  transport: ShardTransport;
  launcher: NodeLauncher;
  events: EventSink;
  replies: BatchReplies;
  metrics: BalancerMetrics;
  logger: Logger;
}

/** What the core's owner does when the core may take commands, and when it no longer leads. */
export interface LeadershipHooks {
  serve: () => void;
  stepDown: (why: string) => void;
  /** The lease has been released, or could not be. */
  released: () => void;
}

/** An event without the time, which the runner adds. */
type UntimedEvent = CoreEvent extends infer E ? (E extends CoreEvent ? Omit<E, 'nowMs'> : never) : never;

/** An administrator's command without the number by which the runner knows who asked. */
export type AdminRequest = AdminCommand extends infer C ? (C extends AdminCommand ? Omit<C, 'request'> : never) : never;

export class EffectRunner {
  private readonly admin = new Map<number, (outcome: Result<AdminResult>) => void>();
  private nextAdmin = 1;
  private ticker: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly core: BalancerCore,
    private readonly ports: EffectPorts,
    private readonly leadership: LeadershipHooks,
  ) {}

  /** Lets the core stand by, and lead when nobody else does. */
  start(): void {
    this.ticker = setInterval(() => {
      this.dispatch({ on: 'tick' });
    }, TICK_MS);
    this.ports.catalog.watch(BUCKET_KEYS.leader, (value) => {
      // Renewals show a standby nothing that it would not see in time.
      if ((value as Partial<LeaderRecord> | null)?.released === true) this.dispatch({ on: 'leaderChanged' });
    });
    this.dispatch({ on: 'start' });
  }

  /** Releases the lease; `LeadershipHooks.released` follows. */
  release(): void {
    this.dispatch({ on: 'release' });
  }

  /** Nothing is begun any more. */
  stop(): void {
    this.stopped = true;
    clearInterval(this.ticker);
  }

  /** The time of the core's clock: milliseconds that only grow. */
  nowMs(): number {
    return performance.now();
  }

  /** Lets the core handle what happened, and begins what it wants done. */
  dispatch(event: UntimedEvent): void {
    if (this.stopped) return;
    const effects = this.core.step({ ...event, nowMs: this.nowMs() });
    for (const effect of effects) this.begin(effect);
  }

  /** Hands an administrator's command to the core; resolves with what came of it. */
  administer(command: AdminRequest): Promise<AdminResult> {
    return new Promise((resolve, reject) => {
      const request = this.nextAdmin++;
      this.admin.set(request, (outcome) => {
        if (outcome.ok) resolve(outcome.value);
        else reject(ShardlineError.fromBody(outcome.error));
      });
      this.dispatch({ on: 'admin', command: { ...command, request } });
    });
  }

  snapshotLeases(request: SnapshotLeasesRequest): SnapshotLeasesReply | null {
    return this.core.snapshotLeases(request, this.nowMs());
  }

  private begin(effect: Effect): void {
    if ('token' in effect) {
      this.answerLater(effect.token, this.ask(effect));
      return;
    }
    switch (effect.do) {
      case 'answer':
        this.ports.replies.answer(effect.batch, effect.answered);
        break;
      case 'answerAdmin':
        this.admin.get(effect.request)?.(effect.outcome);
        this.admin.delete(effect.request);
        break;
      case 'publish':
        if (effect.event.kind === 'shard.diverged')
          this.ports.metrics.diverged(effect.event.subject.split('/')[0] ?? '');
        this.ports.events.publish(effect.event);
        break;
      case 'roundDone':
        this.ports.metrics.roundDone(effect);
        break;
      case 'log':
        this.ports.logger[effect.level](effect.data, effect.message);
        break;
      case 'serve':
        this.leadership.serve();
        break;
      case 'stepDown':
        this.leadership.stepDown(effect.why);
        break;
      case 'released':
        this.leadership.released();
        break;
    }
  }

  private ask(effect: Extract<Effect, { token: number }>): Promise<unknown> {
    const { transport, launcher } = this.ports;
    switch (effect.do) {
      case 'apply':
        return transport.apply(effect.server, effect.epoch, effect.round, effect.rows);
      case 'readOne':
        return transport.readOne(effect.server, effect.epoch, effect.read);
      case 'ping':
        return transport.ping(effect.server, effect.request);
      case 'config':
        return transport.config(effect.server, effect.request);
      case 'probe':
        return transport.probe(effect.server, effect.request);
      case 'fence':
        return transport.fence(effect.server, effect.request);
      case 'catchup':
        return transport.catchup(effect.server, effect.request, effect.isHurried);
      case 'digest':
        return transport.digest(effect.server, effect.request);
      case 'readKey':
        return this.ports.catalog.get(effect.key);
      case 'load':
        return this.ports.catalog.load();
      case 'operation':
        return transport.operation(effect.server, effect.request);
      case 'store':
        return this.store(effect.key, effect.value, effect.expected);
      case 'census':
        return transport.census();
      case 'listNodes':
        return launcher.known();
      case 'startNode':
        return launcher.start(effect.server).then(() => null);
      case 'removeNode':
        return launcher.remove(effect.server).then(() => null);
      case 'nodeFailure':
        return Promise.resolve(launcher.failureOf(effect.server));
      case 'pause':
        return nextTurn(null);
    }
  }

  private async store(key: string, value: unknown, expected: number): Promise<number | null> {
    const { catalog } = this.ports;
    const outcome = value === null ? await catalog.remove(key, expected) : await catalog.put(key, value, expected);
    return outcome.ok ? outcome.revision : null;
  }

  private answerLater(token: number, promise: Promise<unknown>): void {
    promise.then(
      (value) => {
        this.dispatch({ on: 'answered', token, outcome: { ok: true, value } });
      },
      (thrown: unknown) => {
        this.dispatch({ on: 'answered', token, outcome: { ok: false, error: this.failureOf(thrown) } });
      },
    );
  }

  private failureOf(thrown: unknown): ErrorBody {
    const error = ShardlineError.from(thrown);
    if (error.code === 'INTERNAL') this.ports.logger.error({ err: thrown }, 'an effect failed unexpectedly');
    return error.toBody();
  }
}
