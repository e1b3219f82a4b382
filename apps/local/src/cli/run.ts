/** `run`: a cluster in the foreground, until it is stopped. */
import { provideBroker } from '../supervision/broker';
import { SupervisedCluster } from '../supervision/supervised-cluster';
import { ControlSocket, type LauncherInfo } from '../supervision/control';
import { DataDir, type ClaimedDataDir } from '../supervision/data-dir';
import type { Options } from './options';
import { checkPort } from '../supervision/ports';
import { gatewayUrl, waitUntilReady } from '../supervision/readiness';
import { Refusal } from '../refusal';
import { checkSettings } from '../supervision/service-settings';
import type { Terminal } from '../terminal';
import { keepUp } from '../supervision/upkeep';

const READY_DEADLINE_MS = 60_000;
/** What a killed launcher left ends within this time. */
const LEFTOVER_MS = 15_000;

/**
 * Runs until SIGINT, SIGTERM, SIGHUP or `make stop`; everything it started is gone before it resolves. A parent with an IPC channel
 * is called when the cluster is ready.
 *
 * @throws Refusal
 */
export async function runCluster(options: Options, terminal: Terminal): Promise<number> {
  checkSettings(process.env, options);
  const dataDir = await new DataDir(options.dataDir, options.shownDataDir).claim();
  try {
    await checkPorts(options, dataDir);
    const natsServer = await provideBroker(terminal);
    const { port, natsPort } = options;
    const cluster = new SupervisedCluster({ dataDir, port, natsPort, natsServer, terminal, env: process.env });
    await runUntilStopped(cluster, options, dataDir, terminal);
    return 0;
  } finally {
    // Whoever waits for our end waits for the control socket's; the process's own end closes it.
    dataDir.release();
  }
}

async function checkPorts(options: Options, dataDir: ClaimedDataDir): Promise<void> {
  const patienceMs = dataDir.wasAbandoned ? LEFTOVER_MS : 0;
  const hosts = ['127.0.0.1', '0.0.0.0'];
  await checkPort({ port: options.port, what: 'the gateway', option: '--port', hosts }, patienceMs);
  await checkPort({ port: options.natsPort, what: 'NATS', option: '--nats-port', hosts: ['127.0.0.1'] }, patienceMs);
}

async function runUntilStopped(
  cluster: SupervisedCluster,
  options: Options,
  dataDir: ClaimedDataDir,
  terminal: Terminal,
): Promise<void> {
  let ready = false;
  let stop: (why: string) => void = () => undefined;
  const stopped = new Promise<string>((resolve) => {
    stop = resolve;
  });
  const { port, natsPort } = options;
  const identity = dataDir.identity();
  const info = (): LauncherInfo => ({ pid: process.pid, port, natsPort, ready, ...identity });
  const control = new ControlSocket(info, () => {
    stop('a stop was requested');
  });
  await control.listenAt(dataDir.controlSocket);
  const upkeep = keepUp(dataDir, control, cluster);
  listenForSignals(cluster, stop);
  cluster.ending.addEventListener('abort', () => {
    stop('it cannot run');
  });
  try {
    await Promise.race([bringUp(cluster, options, terminal), stopped]);
    ready = true;
    const why = await stopped;
    if (cluster.whyRefused === undefined) terminal.say(`${why}: stopping`);
  } finally {
    await cluster.stop();
    await upkeep;
  }
  if (cluster.whyRefused !== undefined) throw cluster.whyRefused;
  terminal.say(`stopped; the data stays in ${dataDir.shown}`);
}

async function bringUp(cluster: SupervisedCluster, options: Options, terminal: Terminal): Promise<void> {
  await cluster.start();
  const baseUrl = gatewayUrl(options.port, process.env.HOST);
  const readiness = await waitUntilReady(baseUrl, READY_DEADLINE_MS, cluster.ending);
  if (cluster.ending.aborted) return;
  const logs = `see the logs in ${options.shownDataDir}/logs`;
  if (readiness === 'silent')
    throw new Refusal(`the cluster is not ready after ${READY_DEADLINE_MS / 1000} s; ${logs}`);
  const seconds = (performance.now() / 1000).toFixed(1);
  const where = `data in ${options.shownDataDir}; NATS on ${options.natsPort}`;
  const state = readiness === 'ready' ? 'is ready' : 'runs, though not every shard can be written yet,';
  const end = process.send === undefined ? 'Ctrl-C' : '"make stop"';
  terminal.say(`Shardline ${state} on ${terminal.paint(baseUrl, 'bold')} in ${seconds} s (${where}; ${end} stops it)`);
  process.send?.({ ready: true });
}

/** The first signal stops gracefully, the next one at once. */
function listenForSignals(cluster: SupervisedCluster, stop: (why: string) => void): void {
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals === 1) stop(signal);
      else cluster.killAll();
    });
  }
}
