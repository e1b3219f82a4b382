/**
 * Changes of the cluster's shape, one at a time: what it consists of at first (`/init`), more servers and shards (`/add`),
 * fewer servers (`/rm`). Each is checked as a whole before anything is done, and done in an order in which every step leaves
 * a cluster that can be taken over.
 */
import { addServers } from './addition';
import { unconfigured } from '../cluster/cluster';
import type { AdminCommand } from '../kernel/effects';
import { initCluster } from './initialisation';
import { refused, type AdminOutcome, type MembershipParts } from './membership-parts';
import { finishRemovals, removeServers } from './removal';
import { forgetMade, resumeMoves } from './replica-moves';
import { Mutex, spawn, wait, type Workflow } from '../kernel/workflow';

const ADMIN_QUEUE_LIMIT = 16;
/** How often it is looked whether a server that is to go can go. */
const LOOK_MS = 500;

/** A command that changes the cluster's shape. */
export type MembershipCommand = Exclude<AdminCommand, { op: 'scrub' }>;

export class Membership {
  private readonly turn = new Mutex('administrators');
  private waiting = 0;
  private nextLookMs = 0;
  /** From when on what is being made on servers that do not run is made elsewhere. */
  private nextPlanMs = 0;

  constructor(private readonly parts: MembershipParts) {}

  /** This balancer has begun to lead: resumes what the one before it was asked for. */
  resume(): void {
    this.nextPlanMs = this.parts.context.nowMs + this.parts.settings.adminWaitMs;
    spawn(this.resumeAll());
  }

  /** Resumes removals that have been promised, at a pace, unless a command is being carried out. */
  tick(): void {
    const { context, cluster } = this.parts;
    if (this.turn.isHeld || cluster.phase !== 'serving' || context.nowMs < this.nextLookMs) return;
    this.nextLookMs = context.nowMs + LOOK_MS;
    spawn(this.resumeRemovals());
  }

  private *resumeRemovals(): Workflow {
    const { context, cluster, settings } = this.parts;
    const plansAgain = context.nowMs >= this.nextPlanMs;
    if (plansAgain) this.nextPlanMs = context.nowMs + settings.adminWaitMs;
    yield* wait(this.turn.acquire());
    try {
      cluster.isReshaping = true;
      yield* finishRemovals(this.parts, plansAgain);
    } finally {
      cluster.isReshaping = false;
      this.turn.release();
    }
  }

  private *resumeAll(): Workflow {
    yield* resumeMoves(this.parts);
    yield* wait(this.turn.acquire());
    yield* forgetMade(this.parts);
    this.turn.release();
  }

  /** Takes a command; its outcome is answered when it is done. */
  carryOut(command: MembershipCommand): void {
    if (this.waiting >= ADMIN_QUEUE_LIMIT) {
      this.answer(command, refused('BUSY', 'too many changes of the cluster are waiting', true));
      return;
    }
    this.waiting += 1;
    spawn(this.inTurn(command), (outcome) => {
      this.waiting -= 1;
      this.answer(command, outcome);
    });
  }

  private *inTurn(command: MembershipCommand): Workflow<AdminOutcome> {
    yield* wait(this.turn.acquire());
    try {
      this.parts.cluster.isReshaping = true;
      if (command.op === 'init') return yield* initCluster(command.command, this.parts);
      if (this.parts.cluster.record === null) {
        return { ok: false, error: unconfigured(this.parts.cluster) };
      }
      if (command.op === 'add') {
        const outcome = yield* addServers(command.command, this.parts);
        // Replicas that could not be made yet.
        spawn(this.resumeAll());
        return outcome;
      }
      this.nextPlanMs = this.parts.context.nowMs + 2 * this.parts.settings.adminWaitMs;
      return yield* removeServers(command.command, this.parts);
    } finally {
      this.parts.cluster.isReshaping = false;
      this.turn.release();
    }
  }

  private answer(command: MembershipCommand, outcome: AdminOutcome): void {
    this.parts.context.emit({ do: 'answerAdmin', request: command.request, outcome });
  }
}
