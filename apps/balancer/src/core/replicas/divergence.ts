/**
 * What is done with a replica that holds something else than the others.
 *
 * It leaves the in-sync set before anything else or, where that would leave too few, serves nothing any more and the shard takes
 * no writes. Then it is compared with one of the others, so that an event can name the keys. After that `Recovery`
 * fully re-copies it: no VAT that it reports is a start that could be trusted. What it held is not thrown away but kept aside
 * in its Postgres, since the others may be the ones that are wrong.
 */
import type { ErrorBody } from '#common/contracts/errors';
import { highestOf } from '#common/protocol/extremes';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import { differingKeys, KEYS_NAMED, type Differences, type DigestAsker } from './differing-keys';
import type { InSyncSets } from './in-sync-sets';
import type { Shard } from '../cluster/shard';
import { digestPage, wholeDigest, type WholeDigest } from './whole-digest';
import { all, spawn, running, wait, type Workflow } from '../kernel/workflow';

/** One replica's word. Where no side has more than half of the words, `weight` decides: the higher one prevails. */
export interface Vote {
  server: string;
  digest: string;
  weight: number;
}

/** Who holds the same, and who does not. */
export interface Sides {
  agreeing: string[];
  diverged: string[];
  /** More than half of all agree. Otherwise nobody can know which side is right. */
  hasMajority: boolean;
}

/**
 * The side with more than half of all words prevails, those counted that have not been said. Where there is none and all have been
 * said, it is the side with the most replicas; of equal ones that with more weight, then that with the shard's first replica, so
 * that it does not depend on who answered first. Null when replicas differ and it takes the word of one that has not answered.
 *
 * @param votes in the order of the shard's replicas
 * @param voters how many have a word in it
 */
export function sidesOf(votes: readonly Vote[], voters: number): Sides | null {
  const sides = new Map<string, Vote[]>();
  for (const vote of votes) sides.set(vote.digest, [...(sides.get(vote.digest) ?? []), vote]);
  const weightOf = (side: readonly Vote[]): number => highestOf(side.map(({ weight }) => weight));
  const [first] = [...sides.values()].sort((a, b) => b.length - a.length || weightOf(b) - weightOf(a));
  const agreeing = (first ?? []).map(({ server }) => server);
  const diverged = votes.map(({ server }) => server).filter((server) => !agreeing.includes(server));
  const hasMajority = agreeing.length * 2 > voters;
  if (diverged.length > 0 && !hasMajority && votes.length < voters) return null;
  return { agreeing, diverged, hasMajority };
}

/** Where there is no majority, the side that shows more records prevails: a lost one is worse than one too many. */
export function votesOnRows(shard: Shard, replies: ReadonlyMap<string, WholeDigest>): Vote[] {
  const votes: Vote[] = [];
  for (const server of shard.record.replicas) {
    const reply = replies.get(server);
    if (reply !== undefined) votes.push({ server, digest: `${reply.rows}/${reply.digest}`, weight: reply.rows });
  }
  return votes;
}

/** That replicas differ, and at which VAT everything was committed then. */
export interface Finding extends Sides {
  shard: Shard;
  vat: number;
  cause: string;
  /** Where it was a round in which they differed: its keys. */
  roundKeys?: readonly number[];
  /** Where all that all members show was compared: since when. */
  comparedSinceMs?: number;
}

export class Divergence {
  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly inSyncSets: InSyncSets,
  ) {}

  /**
   * Takes the replicas out of the in-sync set; what differs is looked for and published afterwards. No round but one that waits for
   * this may be under way on the shard. Where too few would be left they stay, and count for nothing.
   */
  *quarantine(finding: Finding): Workflow {
    const { shard, diverged, cause, vat } = finding;
    for (const server of diverged) {
      const replica = shard.replicas.get(server);
      if (replica !== undefined) replica.examined = true;
    }
    shard.hold(vat);
    const isSettled = settles(finding);
    shard.divergedMs = this.context.nowMs;
    yield* this.inSyncSets.quarantine(shard, diverged, cause, isSettled);
    // Until now a read may have been sent to one of them.
    shard.divergedMs = this.context.nowMs;
    spawn(this.examineAll(finding));
  }

  /**
   * Replicas differ, and it takes the word of one that is silent to know who is right. Nobody is taken out for that, and what has
   * been copied from one of them meanwhile cannot be relied on.
   */
  *dispute(shard: Shard): Workflow {
    shard.divergedMs = this.context.nowMs;
    yield* this.inSyncSets.dispute(shard);
    shard.divergedMs = this.context.nowMs;
  }

  /** Members were compared as a whole, and more than half of them, or all, show the same. `unheard`: those that did not answer. */
  *agreed(shard: Shard, comparedSinceMs: number, unheard: readonly string[]): Workflow {
    if (settles({ shard, comparedSinceMs })) yield* this.inSyncSets.endDispute(shard, unheard);
  }

  private *examineAll(finding: Finding): Workflow {
    const { shard, vat, diverged } = finding;
    for (const server of diverged) {
      const [reference] = finding.agreeing;
      const differences = reference === undefined ? null : yield* this.compare(shard, vat, server, reference);
      this.publish(finding, server, differences);
      const replica = shard.replicas.get(server);
      if (replica !== undefined) replica.examined = false;
    }
    shard.release(vat);
  }

  /** Which keys `server` and `other` show differently at `vat`, which the caller holds. */
  *compare(shard: Shard, vat: number, server: string, other: string): Workflow<Differences> {
    const { low } = shard.record;
    return yield* differingKeys(this.asker(shard, vat, server), this.asker(shard, vat, other), {
      low,
      high: shard.high,
    });
  }

  /**
   * A replica that was not in sync shows something else than its source after a difference has been copied: publishes which keys. The caller
   * then re-copies the whole replica.
   */
  *publishCopyDifference(shard: Shard, vat: number, server: string, source: string): Workflow {
    shard.hold(vat);
    const differences = yield* this.compare(shard, vat, server, source);
    shard.release(vat);
    const cause = 'it shows other data than its source after a difference was copied';
    this.publish({ shard, vat, cause, agreeing: [source], diverged: [server], hasMajority: true }, server, differences);
  }

  /**
   * Whether more than half of the members show the same at `vat`, which the caller holds, and none of them anything else. Where some
   * differ nobody enters the set before it is known who is right: it may be the one that is copied from.
   */
  *areMembersAlike(shard: Shard, vat: number): Workflow<boolean> {
    const { replies } = yield* this.digests(shard, vat, this.cluster.serving(shard));
    const sides = sidesOf(votesOnRows(shard, replies), shard.members.length);
    if (sides === null || sides.diverged.length > 0) {
      yield* this.dispute(shard);
      return false;
    }
    return sides.hasMajority;
  }

  /** What these replicas show at `vat`, which the caller holds, and why others did not answer. */
  *digests(
    shard: Shard,
    vat: number,
    servers: readonly string[],
  ): Workflow<{ replies: Map<string, WholeDigest>; failures: Map<string, ErrorBody> }> {
    const question = { shard, epoch: this.cluster.epoch, vat, forgottenUpTo: shard.forgottenIds.hold() };
    const asks = servers.map((server) => running(wholeDigest(this.context, { ...question, server })));
    const outcomes = yield* wait(all(asks));
    shard.forgottenIds.release();
    const replies = new Map<string, WholeDigest>();
    const failures = new Map<string, ErrorBody>();
    for (const [index, server] of servers.entries()) {
      const outcome = outcomes[index];
      if (outcome?.ok === true) replies.set(server, outcome.value);
      else if (outcome?.ok === false) failures.set(server, outcome.error);
    }
    return { replies, failures };
  }

  private asker(shard: Shard, vat: number, server: string): DigestAsker {
    const { epoch } = this.cluster;
    return {
      page: (after) => digestPage(this.context, { server, shard, epoch, vat }, after),
      within: (within) => this.context.ask('digest', { server, request: { epoch, shard: shard.id, vat, within } }),
    };
  }

  private publish(finding: Finding, server: string, differences: Differences | null): void {
    const { shard, vat, cause, agreeing, hasMajority, roundKeys } = finding;
    const kept = 'its table is kept aside there, and it is fully re-copied';
    const verdict = hasMajority
      ? `it differs from those that count: ${kept}`
      : `there is no majority, so that either side may be right; ${agreeing.join(', ')} continues to serve, having more records or being named first: ${kept}`;
    const data = { cause, verdict, shard: shard.id, server, vat, agreeing, hasMajority, ...described(differences) };
    const named = roundKeys === undefined ? {} : { roundKeys: roundKeys.slice(0, KEYS_NAMED) };
    this.context.emit({
      do: 'publish',
      event: { kind: 'shard.diverged', subject: `${shard.id}/${server}`, data: { ...data, ...named } },
    });
  }
}

/** What is known of a part of the shard, or was before members were found to differ once more, settles no dispute. */
function settles({ shard, comparedSinceMs = -Infinity }: Pick<Finding, 'shard' | 'comparedSinceMs'>): boolean {
  return shard.divergedMs < comparedSinceMs;
}

/** As events show it. `complete` false: there may be more. No key differs where only what is remembered of operations does. */
function described(differences: Differences | null): Record<string, unknown> {
  if (differences === null) return { differing: 0, complete: false, keys: [] };
  return { differing: differences.count, complete: differences.isComplete, keys: differences.keys };
}
