/** Names under which Nest injects what is no class of its own. */
export const BALANCER_CONFIG = Symbol('BalancerConfig');
export const LOGGER = Symbol('Logger');
export const CATALOG_STORE = Symbol('CatalogStore');
export const SHARD_TRANSPORT = Symbol('ShardTransport');
export const NODE_LAUNCHER = Symbol('NodeLauncher');
export const EVENT_SINK = Symbol('EventSink');
export const RING_HASH = Symbol('NamedRingHash');
