/** The core's way out: collects the effects of a step, and knows who waits for which answer. */
import type { AskKind, AskTypes, Effect, Result } from './effects';
import type { Suspension } from './workflow';

type Waiter = (outcome: Result<unknown>) => void;

interface Sleeper {
  untilMs: number;
  wake: () => void;
}

export class StepContext {
  /** The time of the event being handled. */
  nowMs = 0;
  private effects: Effect[] = [];
  private readonly waiters = new Map<number, Waiter>();
  private sleepers: Sleeper[] = [];
  private nextToken = 1;

  /** Adds an effect that nobody waits for. */
  emit(effect: Effect): void {
    this.effects.push(effect);
  }

  /** Asks for something; `then` is called in the step in which the answer comes. */
  request<K extends AskKind>(
    kind: K,
    ask: AskTypes[K]['ask'],
    then: (outcome: Result<AskTypes[K]['answer']>) => void,
  ): void {
    const token = this.nextToken++;
    this.waiters.set(token, then as Waiter);
    this.effects.push({ do: kind, token, ...ask } as unknown as Effect);
  }

  /** `request`, for workflows. */
  ask<K extends AskKind>(kind: K, ask: AskTypes[K]['ask']): Suspension<Result<AskTypes[K]['answer']>> {
    return (resume) => {
      this.request(kind, ask, resume);
    };
  }

  /** Waits at least so long; ends with a tick. */
  sleep(ms: number): Suspension<undefined> {
    return (resume, forgettable) => {
      const sleeper: Sleeper = {
        untilMs: this.nowMs + ms,
        wake: () => {
          resume(undefined);
        },
      };
      this.sleepers.push(sleeper);
      forgettable?.(() => {
        const index = this.sleepers.indexOf(sleeper);
        if (index >= 0) this.sleepers.splice(index, 1);
      });
    };
  }

  /** How many sleep. */
  get sleeping(): number {
    return this.sleepers.length;
  }

  /** Hands an answer to whoever waits for it. */
  deliver(token: number, outcome: Result<unknown>): void {
    const waiter = this.waiters.get(token);
    this.waiters.delete(token);
    waiter?.(outcome);
  }

  /** Wakes those whose time has come. */
  wakeSleepers(): void {
    const due = this.sleepers.filter((sleeper) => sleeper.untilMs <= this.nowMs);
    this.sleepers = this.sleepers.filter((sleeper) => sleeper.untilMs > this.nowMs);
    for (const sleeper of due) sleeper.wake();
  }

  /** The effects of the step, in order. */
  takeEffects(): Effect[] {
    const taken = this.effects;
    this.effects = [];
    return taken;
  }
}
