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
 * Positive when `a` is the newer one. The epoch leads: whoever raised it had fenced the replicas and believed the newest that
 * they reported, so that what was written under a lower epoch and was not reported then can count no more, however many changes it
 * was. Versions order the changes of one epoch (and grow over epochs too, unless the bucket was rolled back).
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
 * With a bucket that is older than what a replica holds, the newest configuration can only be known for sure when more
 * than R − minInSync of the newest known configuration's replicas have answered: every later configuration kept at least
 * minInSync of them, so one of those who answered would have reported it.
 */
export function answersNeeded(replicas: number): number {
  return replicas - minInSync(replicas) + 1;
}
