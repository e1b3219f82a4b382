import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freshBuild } from '../testing/fresh-build';
import { spawnGuarded } from './guard';

/** A program that says its pid and what signals it gets, and ends itself on TERM with 5. */
const PROGRAM = `
for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'])
  process.on(signal, () => { console.log(signal); if (signal === 'SIGTERM') process.exit(5); });
console.log(process.pid);
setInterval(() => {}, 1000);`;

function linesOf(child: ChildProcess): AsyncIterator<string> {
  return createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
}
const next = async (lines: AsyncIterator<string>): Promise<string> => String((await lines.next()).value);

test('signals reach the program, and its exit status comes back', async () => {
  const guard = spawnGuarded(process.execPath, ['-e', PROGRAM], 'TERM', { stdout: 'pipe' });
  const exit = once(guard, 'exit');
  const lines = linesOf(guard);
  await next(lines);
  guard.kill('SIGINT');
  await expect(next(lines)).resolves.toBe('SIGINT');
  guard.kill('SIGQUIT');
  await expect(next(lines)).resolves.toBe('SIGQUIT');
  guard.kill('SIGTERM');
  await expect(next(lines)).resolves.toBe('SIGTERM');
  await expect(exit).resolves.toEqual([5, null]);
});

test('a program that cannot be started ends the guard with a failure', async () => {
  const guard = spawnGuarded('/nowhere/to/be/found', [], 'TERM');
  await expect(once(guard, 'exit')).resolves.toEqual([127, null]);
});

beforeAll(freshBuild, 120_000);

test.each(['TERM', 'INT', 'QUIT'] as const)('when we are killed the program gets %s', async (signal) => {
  const module = join(await freshBuild(), 'libs/common/src/process/guard.js');
  const code = `require(${JSON.stringify(module)}).spawnGuarded(process.execPath, ['-e', ${JSON.stringify(PROGRAM)}],
    ${JSON.stringify(signal)}, { stdout: 1 }); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = linesOf(parent);
  const pid = Number(await next(lines));
  parent.kill('SIGKILL');
  try {
    await expect(next(lines)).resolves.toBe(`SIG${signal}`);
  } finally {
    if (signal !== 'TERM') process.kill(pid, 'SIGKILL');
  }
  // The pipe ends when nobody holds it any more: program, shell and watcher are gone. (The shell may say that it was killed.)
  for (let line = await lines.next(); line.done !== true; line = await lines.next()) continue;
});
