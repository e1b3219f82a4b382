/**
 * What instrumented sources call: `__guard(id, value, neutral)`. One guard is off at a time; which ones had a say is written down on
 * request, so that a guard is tried only where it could make a difference.
 */

let off = Number(process.env.GUARD_OFF ?? -1);
let decisive: Set<number> | null = null;

function guard<T>(id: number, value: T, neutral: T): T {
  if (decisive !== null && isOtherwise(value, neutral)) decisive.add(id);
  return id === off ? neutral : value;
}

/** Whether the expression's value is another one than that which stands for it while it is off. */
function isOtherwise(value: unknown, neutral: unknown): boolean {
  return typeof neutral === 'number' ? value !== neutral : Boolean(value) !== neutral;
}

/** Switches one guard off and all others on; null switches all on. */
export function switchOff(id: number | null): void {
  off = id ?? -1;
}

/** From now on it is written down which guards say something else than they would while off. */
export function record(): ReadonlySet<number> {
  decisive = new Set();
  return decisive;
}

export function stopRecording(): void {
  decisive = null;
}

Object.assign(globalThis, { __guard: guard });
