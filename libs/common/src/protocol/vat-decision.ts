/**
 * What a new leader believes a shard's VAT to be, from what the fenced in-sync replicas report.
 *
 * A round may have been acknowledged only if every in-sync replica of every shard that it touches holds it. It is committed when
 *
 * - the whole in-sync set holds the same newest round, and
 * - so do the in-sync sets of the other shards that it touched, or they have a VAT that covers it.
 *
 * Otherwise nobody can have had an answer, and the highest committed VAT of any replica stands. The minimum of `currentTerm`
 * looks right and is not. A round that one of its shards refused would count as committed, and two replicas can hold different
 * rounds that end in the same term.
 *
 * A shard may have gone on under a later leader while all replicas of another one that a round touched were silent. That its VAT
 * has grown past the round's terms says nothing about the round then; what was decided at the take-over does. So a shard remembers
 * at which VAT each epoch began, until no round from before can be anybody's newest. (Kafka's replicas do the same with their
 * leader epochs, KIP-101.)
 *
 * **What the leader owes this rule.** A round over several shards fails when one of them refuses a request, or when it is given up.
 * No shard may move past it while another may still hold it as its newest, applied. "The other shard knows a VAT as high" would be
 * taken for its commit, and half of a refused write would appear. There are two ways:
 *
 * - The round is superseded in *all* of its shards before any of them goes on. The leader runs it again, with an empty part for
 *   shards that have nothing left to do.
 * - A shard that goes on remembers that the round is not its own. With its next round it stores a decision about all rounds up to
 *   that one (`EpochStart`).
 *
 * `vat-decision.spec.ts` shows what either is good for.
 */
import type { EpochStart, NewestRound, RoundId } from '../contracts/node';
import { highestOf } from './extremes';

/** What one in-sync replica reports of one shard. */
export interface ReplicaReport {
  committedVat: number;
  currentTerm: number;
  newestRound: NewestRound | null;
  /** What earlier take-overs decided of the shard, the newest last. Absent: nothing. */
  epochStarts?: readonly EpochStart[];
}

/** By shard: the reports of its whole in-sync set. */
export type InSyncReports = ReadonlyMap<string, readonly ReplicaReport[]>;

/** The VAT of each shard, and a term above every term that any of the reports has seen. */
export interface ShardOutlook {
  vat: number;
  nextTerm: number;
}

/** What the whole in-sync set of a shard reports; nothing where there is no such shard. */
export type ReportsOf = (shard: string) => readonly ReplicaReport[];

/**
 * Decides shards from the reports of all that their rounds touched, since a round over several shards is committed in all of them or
 * in none. What became of a round is found out once, however many of its shards are decided, and not at all where it makes no
 * difference. So deciding all shards of one round takes time in proportion to them.
 */
export function decider(reportsOf: ReportsOf): (shard: string) => ShardOutlook {
  const verdicts = new Map<string, boolean>();
  return (shard) => {
    const vat = vatOf(shard, reportsOf, verdicts);
    const terms = reportsOf(shard).map(({ currentTerm }) => currentTerm);
    return { vat, nextTerm: highestOf(terms, vat) + 1 };
  };
}

function vatOf(shard: string, reportsOf: ReportsOf, verdicts: Map<string, boolean>): number {
  const replicas = reportsOf(shard);
  const committedVat = highestCommittedVat(replicas);
  const round = roundHeldByAll(replicas);
  if (round === null) return committedVat;
  const lastTerm = round.lastTerms[shard] ?? 0;
  return lastTerm > committedVat && verdictOn(round, reportsOf, verdicts) ? lastTerm : committedVat;
}

/** The highest committed VAT of any of the replicas. */
export function highestCommittedVat(replicas: readonly ReplicaReport[]): number {
  return highestOf(
    replicas.map((replica) => replica.committedVat),
    0,
  );
}

function verdictOn(round: NewestRound, reportsOf: ReportsOf, verdicts: Map<string, boolean>): boolean {
  const name = `${round.epoch}/${round.round}`;
  const verdict = verdicts.get(name) ?? isCommitted(round, reportsOf);
  verdicts.set(name, verdict);
  return verdict;
}

/** The newest round, when every replica has the same one. */
export function roundHeldByAll(replicas: readonly ReplicaReport[]): NewestRound | null {
  const first = replicas[0]?.newestRound ?? null;
  return replicas.every((replica) => isSameRound(replica.newestRound, first)) ? first : null;
}

function isCommitted(round: NewestRound, reportsOf: ReportsOf): boolean {
  return Object.entries(round.lastTerms).every(([shard, lastTerm]) => {
    const replicas = reportsOf(shard);
    return replicas.length > 0 && wordOn(round, lastTerm, replicas) !== 'lacks';
  });
}

/**
 * Whether it is certain that the round is not committed, although not all have been heard. One of the shards that it touched remembers
 * so, or a member of its in-sync set does not hold it. (Who holds it shows nothing: one that is silent may lack it.) Then no shard
 * needs to hear the others for it: all come to the same.
 *
 * @param doubtful shards of which there may be a later record, so that who reports may have left the set before the round came
 */
export function isRuledOut(round: NewestRound, reports: InSyncReports, doubtful?: ReadonlySet<string>): boolean {
  return Object.entries(round.lastTerms).some(([shard, lastTerm]) => {
    const replicas = reports.get(shard) ?? [];
    const isRelevant = doubtful?.has(shard) !== true || decisionOn(round, replicas) !== undefined;
    return isRelevant && wordOn(round, lastTerm, replicas) === 'lacks';
  });
}

/** What one of its shards says of the round. `holds`: as far as has been heard. */
function wordOn(
  round: NewestRound,
  lastTerm: number,
  replicas: readonly ReplicaReport[],
): 'committed' | 'holds' | 'lacks' {
  const decision = decisionOn(round, replicas);
  if (decision !== undefined) return decision.vat >= lastTerm ? 'committed' : 'lacks';
  if (replicas.some((replica) => replica.committedVat >= lastTerm)) return 'committed';
  const holds = ({ newestRound }: ReplicaReport): boolean => isSameRound(newestRound, round) && !newestRound?.refused;
  return replicas.every(holds) ? 'holds' : 'lacks';
}

/** The first decision behind the round, if there was one: it has said already what became of the round. */
function decisionOn(round: RoundId, replicas: readonly ReplicaReport[]): EpochStart | undefined {
  return newestStarts(replicas).find((start) => isBehind(start, round));
}

/** The decision was made when the round had been sent. */
function isBehind(start: Omit<EpochStart, 'vat'>, { epoch, round }: RoundId): boolean {
  return start.epoch > epoch || (start.epoch === epoch && (start.round ?? 0) > round);
}

/** The longest memory among the replicas: a decision reaches all of them before the shard goes on under it. */
export function newestStarts(replicas: readonly Pick<ReplicaReport, 'epochStarts'>[]): readonly EpochStart[] {
  const last = (starts: readonly EpochStart[]): RoundId => ({ epoch: 0, round: 0, ...starts.at(-1) });
  const all = replicas.map(({ epochStarts = [] }) => epochStarts);
  return all.reduce((best, starts) => (isBehind(last(starts), last(best)) ? starts : best), []);
}

/** Whether both are there, and are the same. */
export function isSameRound(a: RoundId | null, b: RoundId | null): boolean {
  return a !== null && a.epoch === b?.epoch && a.round === b.round;
}
