/**
 * Steps the core, and has its effects performed: the only place where the core is stepped. It knows no promises and no clock of its
 * own, so the simulation runs it, too.
 */
import type { SnapshotLeasesReply, SnapshotLeasesRequest } from '#common/contracts/commands';
import type { Logger } from '#common/logging/logger';
import type { BalancerCore } from '../core/balancer-core';
import type { AdminRequest, AdminResult, Effect, Result, UntimedEvent } from '../core/kernel/effects';
import type { AskPort } from '../ports/ask-port';
import type { EventSink } from '../ports/event-sink';
import type { BatchReplies } from './batch-replies';
import type { BalancerMetrics } from './balancer-metrics';

/** How often the core gets the time. */
const TICK_MS = 50;

/** Everything that effects are performed with. */
export interface EffectPorts {
  asks: AskPort;
  events: EventSink;
  replies: Pick<BatchReplies, 'answer'>;
  metrics: Pick<BalancerMetrics, 'roundDone' | 'diverged'>;
  logger: Pick<Logger, 'debug' | 'info' | 'warn'>;
  clock: RunnerClock;
}

/** The time that the core is told: milliseconds that only grow. */
export interface RunnerClock {
  nowMs(): number;
  /** Calls back again and again, `ms` apart. Returns a function that ends it. */
  every(ms: number, work: () => void): () => void;
}

/** What the core's owner does when the core may take commands, and when it no longer leads. */
export interface LeadershipHooks {
  serve: () => void;
  stepDown: (why: string) => void;
  /** The lease has been released, or could not be. */
  released: () => void;
}

export class EffectRunner {
  private readonly admin = new Map<number, (outcome: Result<AdminResult>) => void>();
  private nextAdmin = 1;
  private endTicks: () => void = () => undefined;
  private stopped = false;

  constructor(
    private readonly core: BalancerCore,
    private readonly ports: EffectPorts,
    private readonly leadership: LeadershipHooks,
  ) {}

  /** Lets the core stand by, and lead when nobody else does. */
  start(): void {
    this.dispatch({ on: 'start' });
    this.endTicks = this.ports.clock.every(TICK_MS, () => {
      this.dispatch({ on: 'tick' });
    });
  }

  /** Releases the lease; `LeadershipHooks.released` follows. */
  release(): void {
    this.dispatch({ on: 'release' });
  }

  /** Nothing is begun any more. */
  stop(): void {
    this.stopped = true;
    this.endTicks();
  }

  /** The time of the core's clock. */
  nowMs(): number {
    return this.ports.clock.nowMs();
  }

  /** Lets the core handle what happened, and begins what it wants done. */
  dispatch(event: UntimedEvent): void {
    if (this.stopped) return;
    const effects = this.core.step({ ...event, nowMs: this.nowMs() });
    for (const effect of effects) this.begin(effect);
  }

  /** Hands an administrator's command to the core; `done` is called with what came of it. */
  administer(command: AdminRequest, done: (outcome: Result<AdminResult>) => void): void {
    const request = this.nextAdmin++;
    this.admin.set(request, done);
    this.dispatch({ on: 'admin', command: { ...command, request } });
  }

  snapshotLeases(request: SnapshotLeasesRequest): SnapshotLeasesReply | null {
    return this.core.snapshotLeases(request, this.nowMs());
  }

  private begin(effect: Effect): void {
    if ('token' in effect) {
      const { token } = effect;
      this.ports.asks.perform(effect, (outcome) => {
        this.dispatch({ on: 'answered', token, outcome });
      });
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
}
