/** The launcher as somebody types it, run to its end. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { freePort } from '#common/testing/free-port';
import { freshBuild } from '#common/testing/fresh-build';

export interface Launched {
  status: number | null;
  said: string;
}

/** Runs it with these arguments and `env` beside our own. */
export async function launch(args: readonly string[], env: Record<string, string> = {}): Promise<Launched> {
  const ran = spawnSync(process.execPath, [join(await freshBuild(), 'apps/local/main.js'), ...args], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, ...env },
  });
  return { status: ran.status, said: ran.stdout + ran.stderr };
}

/** `run` on the folder, on ports of its own. For a run that is to be refused. */
export async function launchRun(dataDir: string, env: Record<string, string> = {}): Promise<Launched> {
  const ports = ['--port', String(await freePort()), '--nats-port', String(await freePort())];
  return launch(['run', '--data-dir', dataDir, ...ports], env);
}
