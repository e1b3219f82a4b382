/** Names under which Nest injects what is no class of its own. */
export const BALANCER_CONFIG = Symbol('BalancerConfig');
export const LOGGER = Symbol('Logger');
export const NODE_LAUNCHER = Symbol('NodeLauncher');
export const RING_HASH = Symbol('NamedRingHash');
