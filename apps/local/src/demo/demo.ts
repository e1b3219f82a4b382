/** `demo`: what Shardline does, in two minutes and with real data. */
import { join } from 'node:path';
import { DataDir } from '../supervision/data-dir';
import type { Options } from '../cli/options';
import { Refusal } from '../refusal';
import { stopCluster } from '../cli/stop';
import type { Terminal } from '../terminal';
import { provideCluster, type BackgroundCluster } from './background';
import { Client } from './client';
import { grouped, ProgressBar } from './progress-bar';
import { killAndWatch } from './kill-and-watch';
import { EXAMPLE, KEYS, student, STUDENT_COUNT, type Student } from './students';

const BATCH_ROWS = 100;
const PARALLEL_BATCHES = 8;
const PAGE_KEYS = 1_024;
const VICTIM = 'Server0';
const STEPS = 6;

/** Runs the demo; the cluster goes on running afterwards. @throws Refusal */
export async function runDemo(options: Options, terminal: Terminal): Promise<number> {
  const demo = new Demo(options, terminal);
  process.once('SIGINT', () => {
    terminal.say();
    demo.giveUp().then(
      () => process.exit(130),
      () => process.exit(1),
    );
  });
  try {
    await demo.run();
    return 0;
  } catch (error) {
    await demo.giveUp();
    throw error;
  }
}

class Demo {
  private step = 0;
  private cluster: BackgroundCluster | undefined;

  constructor(
    private readonly options: Options,
    private readonly terminal: Terminal,
  ) {}

  async run(): Promise<void> {
    const cluster = await this.start();
    const client = new Client(`http://127.0.0.1:${cluster.port}`);
    await this.configure(client);
    await this.fill(client);
    await this.readBack(client);
    await this.killOne(client, cluster);
    await this.checkEverything(client);
    this.sayWhatNext(client, cluster);
  }

  /** The demo does not end well: a cluster that it started goes with it. */
  async giveUp(): Promise<void> {
    if (this.cluster?.found === false) await stopCluster(this.options, this.terminal);
  }

  private async start(): Promise<BackgroundCluster> {
    this.title('Start NATS, the balancer and the gateway');
    const startMs = performance.now();
    const cluster = await provideCluster(this.options, this.terminal);
    this.cluster = cluster;
    const url = `http://127.0.0.1:${cluster.port}`;
    if (cluster.found) this.line(`a cluster runs on ${this.options.shownDataDir} already: ${url}`);
    else this.line(`${url} answers after ${secondsSince(startMs)} s (data in ${this.options.shownDataDir})`);
    return cluster;
  }

  private async configure(client: Client): Promise<void> {
    this.title('POST /init with the example: 3 shards of 4,096 keys, each on 2 of 3 servers');
    const startMs = performance.now();
    const message = await client.init();
    this.line(`${message} in ${secondsSince(startMs)} s, a Postgres for every server`);
    for (const [server, shards] of Object.entries(EXAMPLE.servers)) this.line(`${server}  ${shards.join('  ')}`);
  }

  private async fill(client: Client): Promise<void> {
    this.title(
      `Write ${grouped(STUDENT_COUNT)} students, ${BATCH_ROWS} in a request, ${PARALLEL_BATCHES} requests at a time`,
    );
    const before = await client.read(0, KEYS - 1);
    if (before.rows.length > 0) this.line(`${grouped(before.rows.length)} are there from before: each is replaced`);
    const bar = new ProgressBar(this.terminal, 'writing', STUDENT_COUNT, 'students');
    let next = 0;
    const writer = async (): Promise<void> => {
      while (next < STUDENT_COUNT) {
        const first = next;
        next += BATCH_ROWS;
        const rows = Array.from({ length: Math.min(BATCH_ROWS, STUDENT_COUNT - first) }, (_, i) => student(first + i));
        await client.write(rows);
        bar.advance(rows.length);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_BATCHES }, writer));
    bar.finish();
  }

  private async readBack(client: Client): Promise<void> {
    this.title('Read ranges back');
    for (const [low, high] of [
      [0, 99],
      [4_000, 4_199],
      [0, KEYS - 1],
    ] as const) {
      const startMs = performance.now();
      const { shards, rows } = await client.read(low, high);
      const ms = Math.max(1, Math.round(performance.now() - startMs));
      this.line(
        `${`${low}..${high}`.padEnd(12)} ${grouped(rows.length).padStart(6)} rows of ${shards.join(', ')} in ${ms} ms`,
      );
    }
  }

  private async killOne(client: Client, cluster: BackgroundCluster): Promise<void> {
    this.title(`Kill ${VICTIM} with SIGKILL and watch, while a client keeps reading`);
    const pidFile = join(new DataDir(this.options.dataDir, this.options.shownDataDir).serversDir, VICTIM, 'node.pid');
    const { seconds, reads } = await killAndWatch(VICTIM, pidFile, cluster.natsPort, client, this.terminal);
    this.line(`healed in ${seconds.toFixed(1)} s; all of ${grouped(reads)} reads meanwhile were answered`);
  }

  private async checkEverything(client: Client): Promise<void> {
    this.title(`Check that all ${grouped(STUDENT_COUNT)} are there`);
    const expected = new Map(Array.from({ length: STUDENT_COUNT }, (_, i) => [student(i).Stud_id, student(i)]));
    const bar = new ProgressBar(this.terminal, 'checking', STUDENT_COUNT, 'students');
    for (let low = 0; low < KEYS; low += PAGE_KEYS) {
      const { rows } = await client.read(low, low + PAGE_KEYS - 1);
      const right = rows.filter((row) => isSame(row, expected.get(row.Stud_id)));
      for (const row of right) expected.delete(row.Stud_id);
      bar.advance(right.length);
    }
    bar.finish();
    if (expected.size > 0) throw new Refusal(`${grouped(expected.size)} students are lost or changed`);
    this.line(this.terminal.paint('nothing is lost', 'green'));
  }

  private sayWhatNext({ baseUrl }: Client, { natsPort }: BackgroundCluster): void {
    const { terminal, options } = this;
    const args = argumentsOf(options);
    terminal.say();
    terminal.say(`The cluster keeps running in the background. Try next:`);
    terminal.say();
    const pidFile = join(options.shownDataDir, 'servers', 'Server1', 'node.pid');
    terminal.say(`  curl '${baseUrl}/read?low=100&high=105'`);
    terminal.say(`  kill -9 $(cat ${pidFile}); sleep 6; curl ${baseUrl}/status`);
    terminal.say(`  make stop${args}`);
    terminal.say();
    terminal.say(
      `The API in a browser: ${baseUrl}/docs    The events: nats sub 'shardline.event.>' --server 127.0.0.1:${natsPort}`,
    );
  }

  private title(text: string): void {
    this.step += 1;
    this.terminal.say();
    this.terminal.say(this.terminal.paint(`[${this.step}/${STEPS}] ${text}`, 'bold'));
  }

  private line(text: string): void {
    this.terminal.say(`  ${text}`);
  }
}

function isSame(row: Student, expected: Student | undefined): boolean {
  return row.Stud_name === expected?.Stud_name && row.Stud_marks === expected.Stud_marks;
}

function secondsSince(startMs: number): string {
  return ((performance.now() - startMs) / 1000).toFixed(1);
}

/** What `make stop` needs to find the same cluster. */
function argumentsOf({ shownDataDir }: Options): string {
  return shownDataDir === '.shardline' ? '' : ` ARGS="--data-dir ${shownDataDir}"`;
}
