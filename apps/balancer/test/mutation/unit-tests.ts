/** The unit tests and stories of the guarded sources, as those who notice that a guard is off. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DEADLINE_MS = 300_000;
/** All of them, to begin with. */
const ALL_DEADLINE_MS = 1_800_000;
/** Tests that need processes are left out, and the simulation, which has its turn before. */
const ASKED = [
  'apps/balancer/src/core/',
  'apps/shard-node/src/core/',
  'apps/shard-node/src/runtime/replica',
  'libs/common/src/protocol/',
  'apps/balancer/test/scenarios/',
  'apps/balancer/test/[^/]*[.]spec',
  'apps/shard-node/test/[^/]*[.]spec',
];
/** A guard that many files know is tried in so many of them at most, those first that know the fewest guards. */
const FILES_A_GUARD = 8;

/** What a file of tests says of the guards: written by `switchboard.ts` when its tests are over. */
export interface SpecRecord {
  spec: string;
  guards: number[];
}

export class UnitTests {
  private constructor(
    private readonly checkout: string,
    private readonly tree: string,
    private readonly byGuard: ReadonlyMap<number, readonly string[]>,
  ) {}

  /** Runs all tests with all guards on, to learn which ones have a say in which file. @throws when a test fails */
  static async prepare(checkout: string, tree: string): Promise<UnitTests> {
    const folder = mkdtempSync(join(tmpdir(), 'shardline-guards-'));
    try {
      const failing = await jest(checkout, tree, ['-w', '2', ...ASKED], { GUARD_RECORD: folder }, ALL_DEADLINE_MS);
      if (failing !== null) throw new Error(`with all guards on a test fails: ${failing}`);
      const records = readdirSync(folder).map(
        (name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as SpecRecord,
      );
      records.sort((a, b) => a.guards.length - b.guards.length);
      const byGuard = new Map<number, string[]>();
      for (const { spec, guards } of records)
        for (const id of guards) byGuard.set(id, [...(byGuard.get(id) ?? []), spec]);
      return new UnitTests(checkout, tree, byGuard);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** Files of tests in which the guard has a say. */
  count(id: number): number {
    return this.byGuard.get(id)?.length ?? 0;
  }

  /** The test that fails while the guard is off; null when none does. */
  async failing(id: number): Promise<string | null> {
    const specs = this.byGuard.get(id)?.slice(0, FILES_A_GUARD) ?? [];
    if (specs.length === 0) return null;
    return jest(this.checkout, this.tree, ['-w', '1', '--runTestsByPath', ...specs], { GUARD_OFF: String(id) });
  }
}

/** Runs Jest in the tree. Returns what fails first, or null. */
function jest(
  checkout: string,
  tree: string,
  args: string[],
  env: Record<string, string>,
  deadlineMs = DEADLINE_MS,
): Promise<string | null> {
  const program = join(checkout, 'node_modules/jest/bin/jest.js');
  const switchboard = join(__dirname, 'switchboard.js');
  const always = ['--bail', '--reporters', 'default', '--setupFilesAfterEnv', switchboard];
  const child = spawn(process.execPath, [program, ...args, ...always], {
    cwd: tree,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    said += text;
  });
  return new Promise((resolve, reject) => {
    let isLate = false;
    const deadline = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, deadlineMs);
    child.once('error', reject);
    child.once('close', (status) => {
      clearTimeout(deadline);
      if (status === 0) resolve(null);
      else if (isLate) resolve('the tests do not end');
      else resolve(/● (.*)/.exec(said)?.[1] ?? /FAIL (\S+)/.exec(said)?.[1] ?? 'the tests fail');
    });
  });
}
