/** Events as CloudEvents 1.0 in JSON; see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md */
import { z } from 'zod';

const EVENT_KINDS = [
  'server.flatline',
  'server.respawned',
  'server.recovered',
  'server.added',
  'server.removed',
  'server.suspect',
  'server.healthy',
  'shard.stale',
  'shard.syncing',
  'shard.insync',
  'shard.diverged',
  'shard.unproven',
  'shard.unavailable',
  'leader.elected',
  'leader.lost',
] as const;
const eventKind = z.enum(EVENT_KINDS);
export type EventKind = z.infer<typeof eventKind>;

/** What happened, before it is put into an envelope. `subject` names the server, or `<shard>/<server>` for a replica. */
export const clusterEvent = z.strictObject({
  kind: eventKind,
  subject: z.string(),
  data: z.record(z.string(), z.unknown()),
});
export type ClusterEvent = z.infer<typeof clusterEvent>;

/** The envelope. `data` carries at least `cause`, and `durationMs` where something took time. */
export const cloudEvent = z.strictObject({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  time: z.string(),
  subject: z.string(),
  datacontenttype: z.literal('application/json'),
  data: z.record(z.string(), z.unknown()),
});
export type CloudEvent = z.infer<typeof cloudEvent>;
