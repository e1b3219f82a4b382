/** Makes a run that fails shorter, so that a person can read how it came to fail: fewer faults, fewer operations, fewer clients. */
import type { Limits, Verdict } from './simulation';

/** The shortest run that was found, with its timeline. */
export interface Shrunk {
  limits: Limits;
  verdict: Verdict;
  /** How many runs that took. */
  runs: number;
}

/** Ways to shorten a run; each is tried from the strongest on. */
const DIMENSIONS = ['faults', 'operations'] as const;

/**
 * Looks for the fewest faults, then for the fewest operations, with which the run still fails in some way. What is allowed
 * is always a prefix of what happens in the whole run.
 *
 * @param attempt runs the world with these limits
 * @param found what the whole run came to: how many faults and operations there were
 */
export async function shrink(
  attempt: (limits: Limits, withTimeline: boolean) => Promise<Verdict>,
  found: Verdict,
): Promise<Shrunk> {
  let limits: Limits = { faults: found.faults, operations: found.operations };
  let runs = 0;
  for (const dimension of DIMENSIONS) {
    let fails = limits[dimension] ?? 0;
    let passes = -1;
    // Not every shorter run need pass when a longer one does, so this finds a short one, not always the shortest.
    while (fails - passes > 1) {
      const middle = (fails + passes) >> 1;
      const tried = await attempt({ ...limits, [dimension]: middle }, false);
      runs += 1;
      if (tried.violation === null) passes = middle;
      else fails = middle;
    }
    limits = { ...limits, [dimension]: fails };
  }
  return { limits, verdict: await attempt(limits, true), runs: runs + 1 };
}
