/**
 * Loaded by Jest before a file of tests, in the instrumented tree: each test runs with all guards on, and once more with each of those
 * off that had a say in it. A test is milliseconds and a run of Jest is seconds, so this is how thousands of guards can be asked about.
 *
 * `GUARD_FOLDER` holds `asked.json`, the ids in question; `said.jsonl`, to which a `Saying` is added for whatever is found out; and, for
 * whoever watches a test that does not end, `now-….json`, the guard that is off.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { record, stopRecording, switchOff } from './switchboard';

/** A test that waits for longer than this while a guard is off does not end. */
const TEST_DEADLINE_MS = 20_000;
const WHOLE_DEADLINE_MS = 7_200_000;

/** What a file of tests has to say; one line each. */
export type Saying =
  /** With the guard off this test fails. */
  | { is: 'noticed'; guard: number; by: string }
  /** These had a say in a test of the file. */
  | { is: 'say'; spec: string; guards: number[] }
  /** These had a say outside of its tests: while it was loaded, or in what it does once before all of them. */
  | { is: 'outside'; spec: string; guards: number[] };

/** The guard that is off at this moment; there is none while a test runs with all on. */
export interface Now {
  guard: number;
  by: string;
}

type Work = (...args: unknown[]) => unknown;
type Test = (name: string, work: Work, timeoutMs?: number) => void;

/** What Jest offers, as far as our tests use it. */
interface JestGlobals {
  it: Test;
  test: Test;
  describe: (name: string, body: () => void) => void;
  beforeEach: (work: Work) => void;
  afterEach: (work: Work) => void;
  expect: { getState(): { testPath?: string; currentTestName?: string } };
}

/** What is done before and after each test of a `describe`. */
interface Scope {
  before: Work[];
  after: Work[];
}

export function nowFile(folder: string, spec: string): string {
  return join(folder, `now-${basename(spec)}.json`);
}

class RepeatedTests {
  private readonly said: string;
  private readonly asked: Set<number>;
  private readonly scopes: Scope[] = [{ before: [], after: [] }];
  /** Until the first test begins. */
  private outside: ReadonlySet<number> | null = record();

  constructor(
    private readonly folder: string,
    private readonly jest: JestGlobals,
  ) {
    this.said = join(folder, 'said.jsonl');
    this.asked = new Set(JSON.parse(readFileSync(join(folder, 'asked.json'), 'utf8')) as number[]);
    const sayings = existsSync(this.said) ? readFileSync(this.said, 'utf8').split('\n').filter(Boolean) : [];
    for (const line of sayings) {
      const saying = JSON.parse(line) as Saying;
      if (saying.is === 'noticed') this.asked.delete(saying.guard);
    }
  }

  /** Puts itself in place of what Jest offers. */
  install(): void {
    const { it, describe } = this.jest;
    const repeated: Test = (name, work) => {
      const scopes = [...this.scopes];
      it(name, () => this.repeat(name, scopes, work), WHOLE_DEADLINE_MS);
    };
    const scoped = (name: string, body: () => void): void => {
      describe(name, () => {
        this.scopes.push({ before: [], after: [] });
        body();
        this.scopes.pop();
      });
    };
    Object.assign(globalThis, {
      it: Object.assign(repeated, { each: each(repeated) }),
      test: Object.assign(repeated, { each: each(repeated) }),
      describe: Object.assign(scoped, { each: each(scoped) }),
      beforeEach: (work: Work) => this.scopes.at(-1)!.before.push(work),
      afterEach: (work: Work) => this.scopes.at(-1)!.after.push(work),
    });
  }

  private async repeat(name: string, scopes: readonly Scope[], work: Work): Promise<void> {
    const spec = this.jest.expect.getState().testPath ?? '';
    if (this.outside !== null) this.say({ is: 'outside', spec, guards: [...this.outside] });
    this.outside = null;
    rmSync(nowFile(this.folder, spec), { force: true });
    const guards = record();
    await runOnce(scopes, work);
    stopRecording();
    this.say({ is: 'say', spec, guards: [...guards] });
    const by = this.jest.expect.getState().currentTestName ?? name;
    for (const guard of guards) {
      if (!this.asked.has(guard)) continue;
      const now: Now = { guard, by };
      writeFileSync(nowFile(this.folder, spec), JSON.stringify(now));
      if (await passesWithout(guard, scopes, work)) continue;
      this.asked.delete(guard);
      this.say({ is: 'noticed', guard, by });
    }
  }

  private say(saying: Saying): void {
    appendFileSync(this.said, `${JSON.stringify(saying)}\n`);
  }
}

/** The arrays that our tests give: a row is the arguments, and what is no array is the only one. */
function each<Rest extends unknown[]>(one: (name: string, work: () => unknown, ...rest: Rest) => void) {
  return (rows: readonly unknown[]) =>
    (name: string, work: Work, ...rest: Rest): void => {
      rows.forEach((row, index) => {
        one(`${name} (${index})`, () => work(...(Array.isArray(row) ? (row as unknown[]) : [row])), ...rest);
      });
    };
}

async function runOnce(scopes: readonly Scope[], work: Work): Promise<void> {
  for (const { before } of scopes) for (const one of before) await one();
  try {
    await work();
  } finally {
    for (const { after } of [...scopes].reverse()) for (const one of after) await one();
  }
}

async function passesWithout(guard: number, scopes: readonly Scope[], work: Work): Promise<boolean> {
  let deadline: NodeJS.Timeout | undefined;
  switchOff(guard);
  try {
    const late = new Promise<never>((_, reject) => {
      deadline = setTimeout(() => {
        reject(new Error('the test does not end'));
      }, TEST_DEADLINE_MS);
    });
    await Promise.race([runOnce(scopes, work), late]);
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(deadline);
    switchOff(null);
  }
}

const folder = process.env.GUARD_FOLDER;
if (folder !== undefined) new RepeatedTests(folder, globalThis as unknown as JestGlobals).install();
