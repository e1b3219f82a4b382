/** A cluster of its own for an experiment: started, its processes found and hurt, stopped. */
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const { existsSync, readFileSync } = require('node:fs');
const { rm } = require('node:fs/promises');
const { connect } = require('node:net');
const { join } = require('node:path');
const { createInterface } = require('node:readline');
const { setTimeout: delay } = require('node:timers/promises');

const LAUNCHER = join(__dirname, '..', '..', 'dist', 'apps', 'local', 'main.js');
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 60_000;
const POLL_MS = 20;

class Cluster {
  constructor(launcher, { port, natsPort, dataDir }) {
    this.launcher = launcher;
    this.natsPort = natsPort;
    this.dataDir = dataDir;
    this.baseUrl = `http://127.0.0.1:${port}`;
    this.natsUrl = `nats://127.0.0.1:${natsPort}`;
  }

  /** Starts one and waits until it is ready. @throws when it is not, with what it said */
  static async start({ port, natsPort, dataDir }) {
    if (!existsSync(LAUNCHER)) throw new Error('there is no build: make build');
    const where = ['--port', String(port), '--nats-port', String(natsPort), '--data-dir', dataDir];
    const launcher = spawn(process.execPath, [LAUNCHER, 'run', ...where], { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = [];
    const ready = new Promise((resolve, reject) => {
      for (const stream of [launcher.stdout, launcher.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          said.push(line);
          if (line.startsWith('Shardline ')) resolve();
        });
      }
      launcher.once('exit', (status) => reject(new Error(`the launcher ended with ${status}:\n${said.join('\n')}`)));
      setTimeout(() => reject(new Error(`it was not ready in time:\n${said.join('\n')}`)), START_TIMEOUT_MS).unref();
    });
    await ready;
    return new Cluster(launcher, { port, natsPort, dataDir });
  }

  async stop() {
    if (this.launcher.exitCode !== null) return;
    const exit = once(this.launcher, 'exit', { signal: AbortSignal.timeout(STOP_TIMEOUT_MS) });
    this.launcher.kill('SIGTERM');
    await exit;
  }

  async status() {
    const answer = await fetch(`${this.baseUrl}/status`);
    const status = await answer.json();
    if (answer.status !== 200) throw new Error(`GET /status answered ${answer.status}: ${status.message}`);
    return status;
  }

  /** The process of a shard-node. */
  nodePid(server) {
    return Number(readFileSync(join(this.dataDir, 'servers', server, 'node.pid'), 'utf8').trim());
  }

  /** Removes all that a server has stored; not in one go, or the clients that this process is would stand still meanwhile. */
  loseDisk(server) {
    return rm(join(this.dataDir, 'servers', server), { recursive: true, force: true, maxRetries: 20, retryDelay: 20 });
  }

  /** The process of a balancer, by its name. */
  balancerPid(name) {
    return this.descendant(name, (args) => args.includes('apps/balancer/main.js') && args.endsWith(` ${name}`));
  }

  natsPid() {
    return this.descendant('nats-server', (args) => /(^|\/)nats-server /.test(args));
  }

  /** How long NATS could not be reached, from now on. */
  async untilNatsListens() {
    const startMs = performance.now();
    while (!(await listens(this.natsPort))) await delay(POLL_MS);
    return performance.now() - startMs;
  }

  /** Resolves when every replica is in sync. @throws when it takes too long */
  async untilWhole(timeoutMs) {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const { shards } = await this.status();
      if (shards.every(({ replicas }) => replicas.every(({ state }) => state === 'in-sync'))) return;
      if (performance.now() > endMs) throw new Error(`not all replicas were in sync within ${timeoutMs} ms`);
      await delay(POLL_MS);
    }
  }

  /** A process that descends from the launcher: other clusters may run on this machine. */
  descendant(what, matches) {
    const processes = execFileSync('ps', ['-axo', 'pid=,ppid=,args='], { encoding: 'utf8', maxBuffer: 1 << 26 })
      .split('\n')
      .map((line) => /^\s*(\d+)\s+(\d+)\s+(\S.*)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, pid, parent, args]) => ({ pid: Number(pid), parent: Number(parent), args: args.trim() }));
    const family = new Set([this.launcher.pid]);
    for (let grown = 0; grown !== family.size;) {
      grown = family.size;
      for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid);
    }
    const found = processes.find(({ pid, args }) => family.has(pid) && !args.startsWith('/bin/sh') && matches(args));
    if (found === undefined) throw new Error(`no process of ${what} runs`);
    return found.pid;
  }
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

module.exports = { Cluster };
