/** Answers as the contract spells them. */
import type { AddDone, ClusterStatus, ReplicaStatus, RmDone, ScrubDone, ShardStatus } from '#common/contracts/commands';

const PUBLISHED_KEY = 'Stud_id';

/** When something happened that is so many milliseconds old: `2026-01-02T03:04:05.678Z`. */
export type TimeOf = (ageMs: number) => string;

/**
 * `/status`: the published fields, then everything else there is to know.
 *
 * @param timeOf for the ages that the leader reports: its clock has no dates
 */
export function statusAnswer(status: ClusterStatus, timeOf: TimeOf): Record<string, unknown> {
  const key = status.schema?.columns[0] ?? PUBLISHED_KEY;
  return {
    N: status.servers.length,
    schema: status.schema,
    shards: status.shards.map((shard) => shardAnswer(shard, key, timeOf)),
    servers: Object.fromEntries(status.servers.map((server) => [server.server, server.shards])),
    status: 'success',
    leader: status.leader,
    epoch: status.epoch,
    configId: status.configId,
    ring: status.ring,
    serverDetails: status.servers,
  };
}

function shardAnswer(status: ShardStatus, key: string, timeOf: TimeOf): Record<string, unknown> {
  const { shard, low, size, vat, ...others } = status;
  const details = { ...others, replicas: status.replicas.map((replica) => replicaAnswer(replica, timeOf)) };
  const published = { [`${PUBLISHED_KEY}_low`]: low, Shard_id: shard, Shard_size: size, VAT: vat };
  return key.toLowerCase() === PUBLISHED_KEY.toLowerCase()
    ? { ...published, ...details }
    : { ...published, [`${key}_low`]: low, ...details };
}

function replicaAnswer({ server, state, proven }: ReplicaStatus, timeOf: TimeOf): Record<string, unknown> {
  const lastProvenIdentical = proven === null ? null : { at: timeOf(proven.ageMs), VAT: proven.vat };
  return { server, state, lastProvenIdentical };
}

/** `Add Server:4 and Server:58127`. */
export function addAnswer({ n, added }: AddDone): Record<string, unknown> {
  return { N: n, message: `Add ${enumerate(added.map(spokenName))}`, status: 'successful' };
}

export function rmAnswer({ n, removed }: RmDone): Record<string, unknown> {
  return { message: { N: n, servers: removed }, status: 'successful' };
}

export function scrubAnswer({ shards }: ScrubDone): Record<string, unknown> {
  const diverged = shards.reduce((count, shard) => count + shard.diverged.length, 0);
  const missing = shards.reduce((count, shard) => count + shard.missing.length, 0);
  const differing = diverged === 1 ? '1 replica differs' : `${diverged} replicas differ`;
  const found = missing === 0 ? differing : `${differing}, ${missing} could not be compared`;
  return {
    message: `Compared the replicas of ${shards.length} ${shards.length === 1 ? 'shard' : 'shards'}: ${found}`,
    shards: shards.map(({ shard, vat, ...rest }) => ({ Shard_id: shard, VAT: vat, ...rest })),
    status: 'success',
  };
}

/** `Server4` is spoken `Server:4`. */
function spokenName(server: string): string {
  return server.replace(/^(.*\D)(\d+)$/, '$1:$2');
}

function enumerate(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;
}

export const CONFIGURED = { message: 'Configured Database', status: 'success' } as const;

export function writeAnswer(added: number): string {
  return `{"message":"${added} Data entries added","status":"success"}`;
}

export function updateAnswer(key: string, value: number): string {
  return `{"message":"Data entry for ${key}: ${value} updated","status":"success"}`;
}

export function deleteAnswer(key: string, value: number): string {
  return `{"message":"Data entry with ${key}:${value} removed from all replicas","status":"success"}`;
}

/** What stands before, between and behind the rows of a `/read`. */
export const READ_ANSWER = {
  head: (shards: readonly string[]): string => `{"shards_queried":${JSON.stringify(shards)},"data":[`,
  separator: ',',
  tail: '],"status":"success"}',
} as const;
