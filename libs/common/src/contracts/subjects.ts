/** Every NATS subject, stream and bucket that Shardline uses. No other file spells one. */

export const SUBJECTS = {
  cmd: {
    init: 'shardline.cmd.init',
    status: 'shardline.cmd.status',
    add: 'shardline.cmd.add',
    rm: 'shardline.cmd.rm',
    /** Compares the replicas of every shard now. */
    scrub: 'shardline.cmd.scrub',
    read: 'shardline.cmd.read',
    /** The end of a read whose rows travelled straight from the replicas: gives up its snapshot, confirms the leader. */
    snapshotLeases: 'shardline.cmd.snapshot-leases',
    write: 'shardline.cmd.write',
    update: 'shardline.cmd.update',
    del: 'shardline.cmd.del',
    /** What became of a change, by its name. */
    operation: 'shardline.cmd.operation',
    /** The leader's metrics as Prometheus text. */
    metrics: 'shardline.cmd.metrics',
  },
  /** Every event; the types below it are in `events.ts`. */
  events: 'shardline.event.>',
} as const;

/** What a shard-node answers. */
export type NodeVerb =
  'config' | 'ping' | 'read' | 'apply' | 'copy' | 'catchup' | 'digest' | 'fence' | 'operation' | 'probe';

/** The subject of one verb of one shard-node. */
export function nodeSubject(server: string, verb: NodeVerb): string {
  return `shardline.node.${server}.${verb}`;
}

/** Whoever is about to lead announces here, every second, what it waits for. */
export const TAKE_OVER_SUBJECT = 'shardline.take-over';

/** Every shard-node answers here, whatever its name. */
export const CENSUS_SUBJECT = 'shardline.census';

/** The subject of an event, from its CloudEvents type without the `io.shardline.` in front: `server.flatline`. */
export function eventSubject(kind: string): string {
  return `shardline.event.${kind}`;
}

/** The JetStream stream that keeps events for late subscribers. */
export const EVENT_STREAM = 'SHARDLINE_EVENTS';

/** The JetStream key-value bucket that holds the cluster's metadata. */
export const BUCKET = 'shardline';

/** Keys of the bucket. A key may hold fewer characters than a name: brackets are written `=5B` and `=5D`. */
export const BUCKET_KEYS = {
  leader: 'leader',
  cluster: 'cluster',
  shard: (shard: string): string => `shard.${escapeKey(shard)}`,
} as const;

function escapeKey(name: string): string {
  return name.replaceAll('[', '=5B').replaceAll(']', '=5D');
}
