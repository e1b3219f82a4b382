/** Faults in turn on one cluster: clients work, the fault comes and goes, the cluster becomes whole, and everything is checked. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Chance } from './chance';
import { Clients } from './clients';
import { FaultCluster } from './fault-cluster';
import { NotHere, SMALL_DISK_SERVER, type Fault } from './fault-list';
import { compareReplicas } from './replicas';
import { KeyBlock } from './table';
import { judge, judgeEarlier, settledText, type Chapter } from './verdict';
import { WatchedLogs } from './watched-logs';

const KEYS_PER_SHARD = 30;
const WARM_UP_MS = 1_500;
const AFTERWARDS_MS = 1_000;
/** How long the cluster may take to be whole again once the fault is over. */
const WHOLE_WITHIN_MS = 60_000;

export interface RunOptions {
  seed: number;
  clients: number;
}

export interface FaultReport {
  fault: string;
  note: string;
  /** Why the fault could not be caused here; the rest says nothing then. */
  notHere?: string;
  operations: number;
  /** Failures that clients saw: how many of which kind. */
  errors: Record<string, number>;
  longestStallMs: number;
  /** From the end of the fault until every replica was in sync; null when that took too long. */
  wholeAfterMs: number | null;
  undecided: number;
  /** What went wrong. */
  faults: string[];
}

export class FaultRun {
  private readonly chapters: Chapter[] = [];
  private readonly logs: WatchedLogs;

  private constructor(
    private readonly options: RunOptions,
    private readonly chance: Chance,
    private readonly cluster: FaultCluster,
    private readonly repeats: boolean,
  ) {
    this.logs = new WatchedLogs(cluster.dataDir, cluster.natsUrl);
  }

  /** Starts a cluster for `faults`. @throws when it does not come up */
  static async start(options: RunOptions, faults: readonly Fault[]): Promise<FaultRun> {
    const chance = new Chance(options.seed);
    const needsDisk = faults.some(({ name }) => name === 'disk-full');
    const cluster = await FaultCluster.start({
      chance: chance.fork(),
      ...(needsDisk ? { smallDiskOf: SMALL_DISK_SERVER } : {}),
    });
    return new FaultRun(options, chance, cluster, await cluster.knowsOperations());
  }

  /** Holds logs and histories. */
  get folder(): string {
    return this.cluster.folder;
  }

  get baseUrl(): string {
    return this.cluster.baseUrl;
  }

  get dataDir(): string {
    return this.cluster.dataDir;
  }

  /** Causes one fault and checks what came of it. */
  async inject(fault: Fault): Promise<FaultReport> {
    const index = this.chapters.length;
    const block = new KeyBlock(index, KEYS_PER_SHARD);
    const clients = new Clients({
      baseUrl: this.cluster.baseUrl,
      block,
      count: this.options.clients,
      chance: this.chance.fork(),
      prefix: `f${index}`,
      repeats: this.repeats,
    });
    const outcome: FaultReport = {
      fault: fault.name,
      note: '',
      operations: 0,
      errors: {},
      longestStallMs: 0,
      wholeAfterMs: null,
      undecided: 0,
      faults: [],
    };
    try {
      await this.live(fault, outcome);
    } catch (error) {
      if (error instanceof NotHere) outcome.notHere = error.message;
      else outcome.faults.push((error as Error).message);
    } finally {
      this.cluster.proxy.heal();
      await clients.stop();
    }
    Object.assign(outcome, {
      operations: clients.history.entries.length,
      errors: Object.fromEntries(clients.errors),
      longestStallMs: clients.longestStallMs,
    });
    outcome.faults.push(...clients.wrongAnswers);
    await this.judge({ name: fault.name, block, history: clients.history, settled: '' }, outcome);
    if (outcome.faults.length > 0) this.keep(outcome, clients);
    return outcome;
  }

  async destroy(): Promise<void> {
    await this.cluster.destroy();
  }

  /** Ends the cluster; its folder stays. */
  async endAndKeep(): Promise<void> {
    await this.cluster.end();
  }

  private async live(fault: Fault, outcome: FaultReport): Promise<void> {
    await delay(WARM_UP_MS);
    const notes: string[] = [];
    const note = (what: string): void => {
      notes.push(what);
      outcome.note = notes.join(', ');
    };
    await fault.cause({ cluster: this.cluster, chance: this.chance.fork(), note });
    const overMs = performance.now();
    await this.cluster.untilWhole(WHOLE_WITHIN_MS);
    outcome.wholeAfterMs = performance.now() - overMs;
    await delay(AFTERWARDS_MS);
  }

  private async judge(chapter: Chapter, outcome: FaultReport): Promise<void> {
    try {
      await this.cluster.untilWhole(WHOLE_WITHIN_MS);
      const { rows, faults } = await compareReplicas(this.cluster.baseUrl, this.cluster.dataDir);
      const { faults: unexplained, undecided } = judge(chapter.history, chapter.block, rows);
      outcome.undecided = undecided;
      outcome.faults.push(...faults, ...unexplained, ...judgeEarlier(this.chapters, rows), ...(await this.logs.look()));
      chapter.settled = settledText(chapter.block, rows);
    } catch (error) {
      outcome.faults.push((error as Error).message);
    }
    this.chapters.push(chapter);
  }

  private keep(outcome: FaultReport, clients: Clients): void {
    const file = join(this.folder, `${this.chapters.length}-${outcome.fault}.json`);
    writeFileSync(file, JSON.stringify({ ...this.options, ...outcome, history: clients.history.entries }, null, 1));
  }
}
