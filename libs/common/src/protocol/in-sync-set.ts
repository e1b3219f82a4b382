/** How many replicas a shard needs, and whose word on its configuration counts. */

/** The fewest in-sync replicas with which a shard of `replicas` copies acknowledges a write: R − ⌊R/2⌋. */
export function minInSync(replicas: number): number {
  return replicas - Math.floor(replicas / 2);
}

/** A configuration's place in history. */
export interface ConfigStamp {
  configEpoch: number;
  configVersion: number;
}

/**
 * Positive when `a` is the newer one. The epoch leads. Whoever raised it had fenced the replicas and believed the newest that
 * they reported. What was written under a lower epoch and was not reported then counts no more, however many changes it was.
 * Versions order the changes of one epoch (and grow over epochs too, unless the bucket was rolled back).
 */
export function compareConfigs(a: ConfigStamp, b: ConfigStamp): number {
  return a.configEpoch - b.configEpoch || a.configVersion - b.configVersion;
}

/** The newest of several configurations. */
export function newestConfig<C extends ConfigStamp>(configs: readonly C[]): C | undefined {
  return configs.reduce<C | undefined>(
    (best, config) => (best === undefined || compareConfigs(config, best) > 0 ? config : best),
    undefined,
  );
}

/**
 * How many replicas of the newest known configuration must answer when the bucket is older than what a replica holds. With
 * more than R − minInSync answers no later configuration can be missed. It kept at least minInSync of these replicas, so one
 * of those who answered would have reported it.
 */
export function answersNeeded(replicas: number): number {
  return replicas - minInSync(replicas) + 1;
}
