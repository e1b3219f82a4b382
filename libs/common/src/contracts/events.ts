/** Events as CloudEvents 1.0 in JSON; see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md */

export const EVENT_KINDS = [
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
export type EventKind = (typeof EVENT_KINDS)[number];

/** What happened, before it is put into an envelope. `subject` names the server, or `<shard>/<server>` for a replica. */
export interface ClusterEvent {
  kind: EventKind;
  subject: string;
  data: Record<string, unknown>;
}

/** The envelope. `data` carries at least `cause`, and `durationMs` where something took time. */
export interface CloudEvent {
  specversion: '1.0';
  id: string;
  source: string;
  type: string;
  time: string;
  subject: string;
  datacontenttype: 'application/json';
  data: Record<string, unknown>;
}
