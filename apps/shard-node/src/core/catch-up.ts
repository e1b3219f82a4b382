/** What the pages of a copy do to the state of the shard that is being filled. */
import { ShardlineError } from '#common/contracts/errors';
import type { CatchupRequest, CopyCursor } from '#common/contracts/node';
import { shardOf, type ReplicaState, type ShardState } from './replica-state';

/** How a page is stored: after everything was dropped, after what nobody can vouch for was undone, or behind the last one. */
export interface CatchUpStep {
  kind: 'drop' | 'undo' | 'resume';
  shard: ShardState;
  /** What the page comes behind. */
  after: CopyCursor | null;
}

/**
 * What a request that has just come in is to begin with.
 *
 * @throws ShardlineError UNKNOWN_SHARD, BAD_REQUEST
 */
export function admitCatchUp(state: ReplicaState, request: CatchupRequest): CatchUpStep {
  const shard = shardOf(state.shards, request.shard);
  const { from, to, configId = state.configId } = request;
  if (configId !== state.configId) refuse(request, 'it is of another configuration');
  const { catchUp } = shard;
  if (catchUp?.from === from && catchUp.to === to && catchUp.after !== null) {
    return { kind: 'resume', shard, after: catchUp.after };
  }
  if (from === 0) return { kind: 'drop', shard, after: null };
  if (from > shard.committedVat) refuse(request, `the committed VAT of the replica is only ${shard.committedVat}`);
  if (to < shard.committedVat) refuse(request, `the committed VAT of the replica is ${shard.committedVat} already`);
  return { kind: 'undo', shard, after: null };
}

/**
 * A further page of a request: nothing else may have happened to the copy since the page before.
 *
 * @throws ShardlineError UNKNOWN_SHARD, BAD_REQUEST
 */
export function admitNextPage(state: ReplicaState, request: CatchupRequest, after: CopyCursor): CatchUpStep {
  const shard = shardOf(state.shards, request.shard);
  const { catchUp, copyTurn } = shard;
  const isOurs = copyTurn.epoch === request.epoch && copyTurn.turn === request.turn;
  if (!isOurs || !isSame(catchUp?.after ?? null, after)) refuse(request, 'the copy has been given up');
  return { kind: 'resume', shard, after };
}

/** The shard while the page is stored: nothing above the committed VAT counts any more, and after a drop nothing at all. */
export function beginCatchUp({ kind, shard }: CatchUpStep, request: CatchupRequest): ShardState {
  const { epoch, turn, from, to, source } = request;
  const copyTurn = { epoch, turn };
  const catchUp = { from, to, source, after: shard.catchUp?.after ?? null };
  if (kind === 'resume') return { ...shard, copyTurn, catchUp };
  const begun = { ...shard, newestRound: null, copyTurn, catchUp: { ...catchUp, after: null } };
  if (kind === 'undo') return begun;
  return { ...begun, currentTerm: 0, committedVat: 0, purgedTo: 0, rows: 0, maxRowBytes: 0 };
}

/** The shard with a page stored: more is to come behind `next`, or null. */
export function storedUpTo(shard: ShardState, next: CopyCursor | null): ShardState {
  if (shard.catchUp === null) return shard;
  return next === null ? endCatchUp(shard) : { ...shard, catchUp: { ...shard.catchUp, after: next } };
}

/** The shard after the last page. A snapshot lacks what died before it, so that nothing older can be read from it. */
function endCatchUp(shard: ShardState): ShardState {
  const { from, to } = shard.catchUp ?? { from: 0, to: 0 };
  const purgedTo = from === 0 ? to : shard.purgedTo;
  return { ...shard, currentTerm: to, committedVat: to, purgedTo, catchUp: null };
}

/** Cursors are what they are written as: stored, and sent, as JSON. */
function isSame(a: CopyCursor | null, b: CopyCursor): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function refuse({ shard, from, to }: CatchupRequest, why: string): never {
  throw new ShardlineError('BAD_REQUEST', `cannot catch up shard ${shard} from ${from} to ${to}: ${why}`);
}
