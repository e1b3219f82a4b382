/** A cluster that goes on running when the demo has ended. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { DataDir } from '../supervision/data-dir';
import type { Options } from '../cli/options';
import { Refusal } from '../refusal';
import { provideBroker } from '../supervision/broker';
import type { Terminal } from '../terminal';

const START_DEADLINE_MS = 90_000;
const SHOWN_LINES = 12;

export interface BackgroundCluster {
  port: number;
  natsPort: number;
  pid: number;
  /** It was there before. */
  found: boolean;
}

/**
 * The cluster of the data directory: the one that runs, or one that is started, as its own session, and is ready.
 *
 * @throws Refusal with the launcher's last lines when it does not become ready
 */
export async function provideCluster(options: Options, terminal: Terminal): Promise<BackgroundCluster> {
  const running = await new DataDir(options.dataDir, options.shownDataDir).launcher();
  if (running?.answers === true)
    return { port: running.port, natsPort: running.natsPort, pid: running.pid, found: true };
  // Here, where it is seen and takes its time, and not behind the launcher's back.
  await provideBroker(terminal);
  const { port, natsPort } = options;
  return { port, natsPort, pid: await startInBackground(options), found: false };
}

async function startInBackground(options: Options): Promise<number> {
  const dataDir = new DataDir(options.dataDir, options.shownDataDir);
  dataDir.prepare();
  const logFile = dataDir.logFile('launcher');
  const log = openSync(logFile, 'w');
  const where = [
    '--port',
    String(options.port),
    '--nats-port',
    String(options.natsPort),
    '--data-dir',
    options.dataDir,
  ];
  const main = process.argv[1] ?? '';
  const child = spawn(process.execPath, [...process.execArgv, main, 'run', ...where], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string): void => {
      const said = readFileSync(logFile, 'utf8').trim().split('\n').slice(-SHOWN_LINES).join('\n');
      reject(new Refusal(said === '' ? what : said.replaceAll(/^shardline: /gm, '')));
    };
    const timer = setTimeout(() => {
      child.kill('SIGTERM');
      fail(`the cluster is not ready after ${START_DEADLINE_MS / 1000} s`);
    }, START_DEADLINE_MS);
    child.once('message', () => {
      clearTimeout(timer);
      resolve();
    });
    child.once('exit', (status) => {
      clearTimeout(timer);
      fail(`the cluster ended while it started (exit status ${status ?? 'unknown'})`);
    });
  });
  child.removeAllListeners();
  child.disconnect();
  child.unref();
  return child.pid ?? 0;
}
