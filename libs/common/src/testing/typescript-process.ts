/** Runs one of our TypeScript files as a process of its own, so that a test can kill it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';

const ROOT = resolve(__dirname, '../../../..');

/** What the process loads first: TypeScript is compiled as Jest does it, and `#common` means the sources. */
const LOADER = `
const { Module } = require('node:module');
const { transformFileSync } = require('@swc/core');
const root = ${JSON.stringify(ROOT)};
require.extensions['.ts'] = (module, file) => module._compile(transformFileSync(file).code, file);
const resolveFilename = Module._resolveFilename;
Module._resolveFilename = (name, ...rest) =>
  resolveFilename(name.replace(/^#common\\//, root + '/libs/common/src/'), ...rest);
require(process.argv[1]);
`;

/** Spawns `file` with `args`. Its standard error is ours; the caller ends it. */
export function spawnTypeScript(file: string, args: readonly string[]): ChildProcess {
  return spawn(process.execPath, ['-e', LOADER, resolve(file), ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** The first line that the process writes. @throws Error when it ends without one */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((done, failed) => {
    if (child.stdout === null) throw new Error('the process has no output to read');
    createInterface({ input: child.stdout }).once('line', done);
    child.once('exit', (status) => {
      failed(new Error(`the process ended with ${String(status)} and wrote no line`));
    });
  });
}
