/** The unit tests and stories of the guarded sources, as those who notice that a guard is off. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nowFile, type Now, type Saying } from './repeated-tests';

/** A test with a guard off that says nothing for so long does not end. It takes milliseconds; a busy machine is allowed for. */
const SILENCE_MS = 60_000;
/** Without a guard off: a whole file of tests, or one of properties that tries much. */
const ALL_ON_MS = 600_000;
const LOOK_EVERY_MS = 1_000;
/** Tests that need processes are left out, and the simulation, which has its turn before. */
const ASKED = [
  'libs/common/src/protocol/',
  'apps/shard-node/src/core/',
  'apps/balancer/src/core/',
  'apps/shard-node/src/runtime/(replica|configurations|guarded-state|copy-target)',
  'apps/balancer/test/[^/]*[.]spec',
  'apps/balancer/test/scenarios/',
];

/** What the tests say of the guards. */
export interface Verdict {
  /** By guard: the test that fails without it. */
  noticed: ReadonlyMap<number, string>;
  /** By guard: files of tests in which it has a say. */
  specs: ReadonlyMap<number, ReadonlySet<string>>;
}

/** Asks the tests about guards, as many files of tests at once as there are jobs. */
export class UnitTests {
  /** Files in which a test fails with all guards on. That test says nothing of any guard; the others of the file do. */
  readonly failing: string[] = [];
  private readonly folder = mkdtempSync(join(tmpdir(), 'shardline-guards-'));

  constructor(
    private readonly checkout: string,
    private readonly tree: string,
    private readonly jobs: number,
    /** Only files whose path matches. */
    private readonly only: RegExp,
    private readonly print: (line: string) => void,
  ) {}

  /** @throws when no tests are found, or one ends the process with all guards on */
  async ask(guards: readonly number[]): Promise<Verdict> {
    try {
      writeFileSync(join(this.folder, 'asked.json'), JSON.stringify(guards));
      await this.forAll(await this.listSpecs(), (spec) => this.repeatTestsOf(spec));
      await this.askAboutLoading(guards);
      return this.verdict();
    } finally {
      rmSync(this.folder, { recursive: true });
    }
  }

  private async listSpecs(): Promise<string[]> {
    const { said } = await this.jest(['--listTests', ...ASKED]);
    const found = said.split('\n').filter((line) => line.endsWith('.ts') && this.only.test(line));
    if (found.length === 0) throw new Error(`no tests are found: ${said}`);
    const rank = (spec: string): number => ASKED.findIndex((pattern) => new RegExp(pattern).test(spec));
    return found.sort((a, b) => rank(a) - rank(b) || statSync(a).size - statSync(b).size);
  }

  private async forAll<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const waiting = [...items];
    const one = async (): Promise<void> => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
    };
    await Promise.all(Array.from({ length: this.jobs }, one));
  }

  /** Again from the start for each guard without which a test never ends, or ends the process: that is noticed, too. */
  private async repeatTestsOf(spec: string): Promise<void> {
    const started = performance.now();
    const now = nowFile(this.folder, spec);
    for (;;) {
      rmSync(now, { force: true });
      const { status, said } = await this.jest(['--runTestsByPath', spec], { GUARD_FOLDER: this.folder }, now);
      if (status === 0) break;
      if (status === 1) {
        this.failing.push(spec);
        this.print(`with all guards on a test of ${spec} fails: ${said.slice(0, 4_000)}`);
        break;
      }
      if (!existsSync(now)) throw new Error(`the tests of ${spec} end the process with all guards on: ${said}`);
      const { guard, by } = JSON.parse(readFileSync(now, 'utf8')) as Now;
      const saying: Saying = { is: 'noticed', guard, by: `${by} (it does not end)` };
      writeFileSync(join(this.folder, 'said.jsonl'), `${JSON.stringify(saying)}\n`, { flag: 'a' });
    }
    this.print(`${Math.round((performance.now() - started) / 1_000)} s  ${spec.slice(this.tree.length + 1)}`);
  }

  /** What is built while a file of tests is loaded is the same in each of its tests: those guards are off from the start. */
  private async askAboutLoading(guards: readonly number[]): Promise<void> {
    const { noticed } = this.verdict();
    const specs = new Map<number, Set<string>>();
    for (const saying of this.sayings())
      if (saying.is === 'outside') for (const id of saying.guards) insert(specs, id, saying.spec);
    const open = guards.filter((id) => specs.has(id) && !noticed.has(id));
    await this.forAll(open, async (guard) => {
      const args = ['--bail', '--runTestsByPath', ...specs.get(guard)!];
      const { status, said } = await this.jest(args, { GUARD_OFF: String(guard) });
      if (status === 0) return;
      const saying: Saying = { is: 'noticed', guard, by: /● (.*)/.exec(said)?.[1] ?? 'the tests do not end' };
      writeFileSync(join(this.folder, 'said.jsonl'), `${JSON.stringify(saying)}\n`, { flag: 'a' });
    });
  }

  private verdict(): Verdict {
    const noticed = new Map<number, string>();
    const specs = new Map<number, Set<string>>();
    for (const saying of this.sayings())
      if (saying.is === 'noticed') noticed.set(saying.guard, saying.by);
      else for (const id of saying.guards) insert(specs, id, saying.spec);
    return { noticed, specs };
  }

  private sayings(): Saying[] {
    const path = join(this.folder, 'said.jsonl');
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Saying);
  }

  /** Runs Jest in the tree; status 2 stands for a run that was ended since nothing happened any more, or that was killed. */
  private jest(
    args: string[],
    env: Record<string, string> = {},
    now: string | null = null,
  ): Promise<{ status: number; said: string }> {
    const program = join(this.checkout, 'node_modules/jest/bin/jest.js');
    const setup = ['--setupFilesAfterEnv', join(__dirname, 'repeated-tests.js')];
    const child = spawn(process.execPath, [program, '-w', '1', '--reporters', 'default', ...args, ...setup], {
      cwd: this.tree,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    const hear = (text: string): void => {
      said += text;
    };
    child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.setEncoding('utf8').on('data', hear);
    return new Promise((resolve, reject) => {
      let since = Date.now();
      const look = setInterval(() => {
        const offSince = now === null ? undefined : statSync(now, { throwIfNoEntry: false })?.mtimeMs;
        since = Math.max(since, offSince ?? 0);
        if (Date.now() - since > (offSince === undefined ? ALL_ON_MS : SILENCE_MS)) child.kill('SIGKILL');
      }, LOOK_EVERY_MS);
      child.once('error', reject);
      child.once('close', (status) => {
        clearInterval(look);
        resolve({ status: status === 0 || status === 1 ? status : 2, said });
      });
    });
  }
}

function insert(sets: Map<number, Set<string>>, id: number, spec: string): void {
  const set = sets.get(id);
  if (set === undefined) sets.set(id, new Set([spec]));
  else set.add(spec);
}
