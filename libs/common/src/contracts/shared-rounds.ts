/**
 * What a replica reports of its shards, on the wire. A round that touched a thousand shards is the newest one of each of them, and names
 * all of them every time: a million terms, more than a message takes. So the terms of each round are sent once.
 */
import { z } from 'zod';
import { ShardlineError } from './errors';
import { configReply, fenceReply, pingReply } from './node';
import { nodeShardState, type NodeShardState } from './node-state';
import { roundId } from './rounds';
import { term, terms } from './shapes';

const sharedShard = z.strictObject({
  ...nodeShardState.shape,
  /** `terms`: the place of its last terms in the reply's list. */
  newestRound: z.strictObject({ ...roundId.shape, terms: term, refused: z.boolean() }).nullable(),
});
const ofShards = { shards: z.array(sharedShard), terms: z.array(terms) };

/** The replies as they travel. */
export const sharedConfigReply = z.strictObject({ ...configReply.shape, ...ofShards });
export const sharedFenceReply = z.strictObject({ ...fenceReply.shape, ...ofShards });
export const sharedPingReply = z.strictObject({ ...pingReply.shape, ...ofShards });

interface SharedRounds {
  shards: z.infer<typeof sharedShard>[];
  terms: Record<string, number>[];
}

/** The reply as it travels: shards that hold one and the same object as their round's terms share it. */
export function shareRounds<R extends { shards: NodeShardState[] }>(reply: R): Omit<R, 'shards'> & SharedRounds {
  const places = new Map<Record<string, number>, number>();
  const shards = reply.shards.map((shard) => {
    if (shard.newestRound === null) return { ...shard, newestRound: null };
    const { epoch, round, lastTerms, refused } = shard.newestRound;
    const place = places.get(lastTerms) ?? places.size;
    places.set(lastTerms, place);
    return { ...shard, newestRound: { epoch, round, terms: place, refused } };
  });
  return { terms: [...places.keys()], ...reply, shards };
}

/** The reply as it was before `shareRounds`. @throws ShardlineError BAD_MESSAGE when it names terms that it does not hold */
export function unshareRounds<T extends SharedRounds>(
  reply: T,
): Omit<T, 'shards' | 'terms'> & { shards: NodeShardState[] } {
  const { shards: shared, terms: list, ...others } = reply;
  const shards = shared.map((shard): NodeShardState => {
    if (shard.newestRound === null) return { ...shard, newestRound: null };
    const { epoch, round, terms: place, refused } = shard.newestRound;
    const lastTerms = list[place];
    if (lastTerms === undefined)
      throw new ShardlineError('BAD_MESSAGE', `the terms of the newest round of ${shard.shard} are missing`);
    return { ...shard, newestRound: { epoch, round, lastTerms, refused } };
  });
  return { shards, ...others };
}
