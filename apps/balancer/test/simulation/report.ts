/** What is said of a world that broke a promise. */
import { shrink } from './shrink';
import { simulate, type Mutations, type Verdict } from './simulation';

/**
 * The violation, the shortest run in which one was found, and how that one came to it.
 *
 * @param mutations makes the mutations of one run; null for none
 * @param lines how much of the timeline's end is shown
 */
export async function reportOf(
  found: Verdict,
  lines: number,
  mutations: () => Mutations = () => ({}),
): Promise<string> {
  const { seed } = found;
  const { limits, verdict, runs } = await shrink(
    (tried, withTimeline) => simulate(seed, mutations(), withTimeline, tried),
    found,
  );
  const { timeline } = verdict;
  const left = timeline.length - lines;
  return [
    `SEED=${seed} broke a promise: ${found.violation ?? ''}`,
    `The shortest run found (${runs} tried) has the first ${limits.faults ?? 0} of ${found.faults} faults and the first ` +
      `${limits.operations ?? 0} of ${found.operations} operations: ${verdict.violation ?? ''}`,
    `How it came to that${left > 0 ? ` (without its first ${left} lines; LINES=${timeline.length} shows all)` : ''}:`,
    ...timeline.slice(-lines),
  ].join('\n');
}
