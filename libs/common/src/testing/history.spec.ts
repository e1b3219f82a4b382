/** The search for an order, compared with one that tries every order of every choice, on many small histories. */
import { faultOf, type Ending, type Entry, type Operation } from './history';

const KEYS = [1, 2];
const HISTORIES = 4_000;

/** Small numbers from a seed. */
function diceOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function operationOf(roll: (below: number) => number, id: number): Operation {
  const key = KEYS[roll(2)]!;
  const keys = roll(2) === 0 ? [key] : KEYS;
  switch (roll(5)) {
    case 0:
      return { kind: 'delete', keys: [key] };
    case 1:
      return { kind: 'update', keys: [key], tokens: [`t${id}`] };
    case 2:
    case 3: {
      const onConflict = (['error', 'ignore', 'replace'] as const)[roll(3)]!;
      return { kind: 'write', onConflict, keys, tokens: keys.map((_, place) => `t${id}.${place}`) };
    }
    default:
      return { kind: 'read', keys };
  }
}

type Rows = ReadonlyMap<number, string>;

/** The rows behind the operation, and what it is answered; written down without a look at how the search does it. */
function happens(operation: Entry['operation'], rows: Rows): { rows: Rows; ending: Ending } {
  const next = new Map(rows);
  if (operation.kind === 'clear') return { rows: new Map(), ending: { how: 'done', added: 0 } };
  const { keys } = operation;
  if (operation.kind === 'read') {
    return { rows, ending: { how: 'seen', values: keys.map((key) => rows.get(key) ?? null) } };
  }
  const [key] = keys;
  if (operation.kind === 'write') {
    if (operation.onConflict === 'error' && keys.some((one) => rows.has(one)))
      return { rows, ending: { how: 'refused' } };
    let added = 0;
    keys.forEach((one, place) => {
      if (operation.onConflict === 'ignore' && rows.has(one)) return;
      next.set(one, operation.tokens[place]!);
      added += 1;
    });
    return { rows: next, ending: { how: 'done', added } };
  }
  if (!rows.has(key)) return { rows, ending: { how: 'refused' } };
  if (operation.kind === 'update') next.set(key, operation.tokens[0]);
  else next.delete(key);
  return { rows: next, ending: { how: 'done', added: 1 } };
}

/** Whether some order of all that have an answer, and of some that have none, explains every answer. */
function isExplained(left: readonly Entry[], rows: Rows): boolean {
  if (left.every((entry) => entry.answered === Infinity)) return true;
  return left.some((entry, index) => {
    const others = left.filter((_, place) => place !== index);
    if (others.some((other) => other.answered < entry.called)) return false;
    const { rows: next, ending } = happens(entry.operation, rows);
    // What had no effect, where nobody got an answer, need not have happened.
    if (entry.answered === Infinity) return ending.how !== 'refused' && isExplained(others, next);
    return JSON.stringify(ending) === JSON.stringify(entry.ending) && isExplained(others, next);
  });
}

/** Clients that ask and are answered what happened, most of them of an instant between. Some changes are lost, which is mostly wrong. */
function historyOf(seed: number): Entry[] {
  const roll = diceOf(seed);
  const entries: Entry[] = [];
  let rows: Rows = new Map();
  for (let id = 0; id < 7; id += 1) {
    const isClear = roll(12) === 0;
    const operation = isClear ? ({ kind: 'clear', keys: [] } as Entry['operation']) : operationOf(roll, id);
    const { rows: next, ending } = happens(operation, rows);
    const draw = roll(10);
    if (roll(6) > 0) rows = next;
    const isUnknown = !isClear && operation.kind !== 'read' && draw < 3;
    const shift = roll(4) === 0 ? roll(60) - 30 : 0;
    const called = id * 10 + shift - roll(15);
    const answered = isUnknown ? Infinity : id * 10 + shift + 1 + roll(15);
    entries.push({ id, client: 'c', operation, called, answered, ending: isUnknown ? { how: 'unknown' } : ending });
  }
  return entries;
}

test('an order is found exactly where there is one', () => {
  let explained = 0;
  for (let seed = 1; seed <= HISTORIES; seed += 1) {
    const entries = historyOf(seed);
    const wanted = isExplained(entries, new Map());
    explained += Number(wanted);
    const fault = faultOf(entries, KEYS);
    if ((fault === null) !== wanted)
      throw new Error(`seed ${seed}: ${String(fault)}\n${JSON.stringify(entries, null, 1)}`);
  }
  // Both kinds were there.
  expect(explained).toBeGreaterThan(HISTORIES / 10);
  expect(explained).toBeLessThan(HISTORIES * 0.95);
});
