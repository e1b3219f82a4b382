/**
 * A message of rounds that comes a second time: its answer was lost with the connection, so the leader asks again. While nothing
 * newer has reached its shards, what was answered then is true still.
 */
import type { ApplyReply, ApplyRequest } from '#common/contracts/node';
import type { ReplicaState } from './replica-state';

/** A message and what was answered to it, provided that its transaction was committed. */
export interface AnsweredMessage {
  request: ApplyRequest;
  reply: ApplyReply;
}

/** The answer of before; null when the message is another one, or its rounds are not the newest of all of their shards. */
export function answerAgain(
  state: ReplicaState,
  answered: AnsweredMessage | null,
  request: ApplyRequest,
): ApplyReply | null {
  if (answered === null || !isSame(answered.request, request)) return null;
  const newest = new Map<string, number>();
  for (const { round, parts } of request.rounds) for (const { shard } of parts) newest.set(shard, round);
  for (const [id, round] of newest) {
    const shard = state.shards.get(id);
    if (shard?.catchUp !== null) return null;
    if (shard.newestRound?.epoch !== request.epoch || shard.newestRound.round !== round) return null;
  }
  return answered.reply;
}

/** A round's number is never used twice under one epoch. */
function isSame(a: ApplyRequest, b: ApplyRequest): boolean {
  if (a.epoch !== b.epoch || a.rounds.length !== b.rounds.length) return false;
  return a.rounds.every(({ round }, index) => round === b.rounds[index]?.round);
}
