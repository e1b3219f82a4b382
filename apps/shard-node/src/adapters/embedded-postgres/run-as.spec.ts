import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findBinaries } from './binaries';
import { chooseUser } from './run-as';

const isRoot = process.getuid?.() === 0;

describe('as whom Postgres runs', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shardline-run-as-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it.each([
    { mode: 0o700, program: isRoot && process.platform === 'linux' ? 'setpriv' : '/bin/sh' },
    { mode: 0o755, program: '/bin/sh' },
  ])('is never root, and may enter our folder of mode $mode', async ({ mode, program }) => {
    await chmod(folder, mode);
    // Anybody may run it, wherever this checkout is.
    const user = await chooseUser('/bin/bash', folder);
    expect(user.uid).not.toBe(0);
    const call = user.invoke('/bin/sh', ['-c', 'cd "$1" && id -u', 'sh', folder]);
    expect(call.program).toBe(program);
    const { stdout } = await promisify(execFile)(call.program, call.args, { ...call, cwd: '/' });
    expect(Number(stdout)).toBe(user.uid);
  });

  it('finds its programs in a folder that is closed to others, as Postgres looks for them: by access(2)', async () => {
    const program = join(folder, 'postgres');
    await writeFile(program, '#!/bin/sh\n', { mode: 0o755 });
    await chmod(folder, 0o700);
    const user = await chooseUser((await findBinaries()).postgres, folder);
    const node = `require('node:fs').accessSync(process.argv[1], require('node:fs').constants.X_OK)`;
    const call = user.invoke(process.execPath, ['-e', node, program]);
    await expect(promisify(execFile)(call.program, call.args, { ...call, cwd: '/' })).resolves.toBeDefined();
  });

  it('owns what it is given', async () => {
    const user = await chooseUser((await findBinaries()).postgres, folder);
    await user.own(folder);
    expect((await stat(folder)).uid).toBe(user.uid);
  });

  it('says in one line what to do when the program cannot be run', async () => {
    const missing = chooseUser(join(folder, 'no-such-postgres'), folder);
    await (isRoot
      ? expect(missing).rejects.toThrow(/^Postgres does not run as root[^\n]*start as another user[^\n]*$/)
      : expect(missing).resolves.toBeDefined());
  });
});
