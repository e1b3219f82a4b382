/** Simulated shard-nodes: the real replica over a store in memory that outlives its process, and the way to reach them. */
import { ShardlineError, type ErrorBody } from '#common/contracts/errors';
import { createLogger } from '#common/logging/logger';
import { MemoryVersionStore } from '../../../shard-node/src/adapters/memory/memory-version-store';
import type { CopySource } from '../../../shard-node/src/ports/copy-source';
import type { VersionStore, WriteTransaction } from '../../../shard-node/src/ports/version-store';
import { Replica } from '../../../shard-node/src/runtime/replica';
import type { Result } from '../../src/core/kernel/effects';
import { Clock } from './clock';
import type { Network } from './network';
import type { Dice, Scheduler } from './scheduler';
import { SlowStore } from './slow-store';
import { WiredReplica } from './wire';

const SILENT = createLogger('simulation', 'silent');
const PAGE_BYTES = 90;
const COPY_TIMEOUT_MS = 200;
const COPY_SLICE_MS = 80;
/** Replies that a defect causes; none of the faults that are simulated may. */
const DEFECTS = ['INTERNAL', 'BAD_MESSAGE'];

/** What a test may break on purpose; see `mutations`. */
export interface NodeMutations {
  wrapSource?: (server: string, source: CopySource) => CopySource;
  /** Changes a replica's store before its process starts. */
  wrapStore?: (server: string, store: VersionStore) => VersionStore;
  /** Changes a replica before it listens. */
  patchReplica?: (replica: Replica) => void;
}

/** One life of a shard-node's process. */
class NodeProcess {
  isAlive = true;
  isPaused = false;
  readonly inbox: (() => void)[] = [];
  /** Fails what is under way here when the process ends. */
  readonly underWay = new Set<(error: ErrorBody) => void>();

  /** The way to it. */
  readonly wired: WiredReplica;

  constructor(replica: Replica) {
    this.wired = new WiredReplica(replica);
  }

  receive(job: () => void): void {
    if (this.isPaused) this.inbox.push(job);
    else job();
  }
}

export class SimServer {
  disk: MemoryVersionStore;
  process: NodeProcess | null = null;
  /** It never comes back, and what was on its disk is lost with it. */
  isBuried = false;
  /** Until then the disk takes nothing. */
  private fullUntilMs = 0;
  /** Until then nobody can say whether a commit happened. */
  private inDoubtUntilMs = 0;
  /** What the disk holds if the process ends now: all but the newest commits that were allowed to be lost. */
  private durable: object | null = null;
  private starts = 0;

  constructor(
    readonly name: string,
    private readonly servers: Servers,
    private readonly scheduler: Scheduler,
    private readonly dice: Dice,
  ) {
    this.disk = new MemoryVersionStore(name);
  }

  /** Ends the process that runs, if any, and starts another one; it listens some time later. */
  start(): void {
    this.kill();
    if (this.isBuried) return;
    const start = ++this.starts;
    this.scheduler.after(this.dice.between(20, 120), () => {
      if (start === this.starts) this.open();
    });
  }

  /** What has not been committed is gone, and what was under way fails. */
  kill(): void {
    this.starts += 1;
    const { process } = this;
    this.process = null;
    if (process === null) return;
    process.isAlive = false;
    this.scheduler.note(() => `${this.name} ends`);
    this.loseWhatMayBeLost();
    for (const fail of process.underWay)
      this.scheduler.after(this.dice.between(1, 100), () => {
        fail(goneAway(this.name));
      });
  }

  /** The disk is lost; only for a server that does not run. */
  wipe(): void {
    this.scheduler.note(() => `${this.name} loses its disk`);
    this.disk = new MemoryVersionStore(this.name);
  }

  pause(ms: number): void {
    const { process } = this;
    if (process === null || process.isPaused) return;
    this.scheduler.note(() => `${this.name} pauses for ${ms}`);
    process.isPaused = true;
    this.scheduler.after(ms, () => {
      process.isPaused = false;
      for (const job of process.inbox.splice(0)) if (process.isAlive) job();
    });
  }

  /** Its disk is full for so long: nothing is committed meanwhile. */
  fill(ms: number): void {
    this.scheduler.note(() => `the disk of ${this.name} is full for ${ms}`);
    this.fullUntilMs = this.scheduler.nowMs + ms;
  }

  /** For so long every commit may or may not happen, and fails either way. */
  doubt(ms: number): void {
    this.scheduler.note(() => `the disk of ${this.name} leaves commits in doubt for ${ms}`);
    this.inDoubtUntilMs = this.scheduler.nowMs + ms;
  }

  /** The disk works again. */
  repairDisk(): void {
    this.fullUntilMs = 0;
    this.inDoubtUntilMs = 0;
  }

  /** It ends for good. */
  bury(): void {
    this.scheduler.note(() => `${this.name} will never come back`);
    this.kill();
    this.isBuried = true;
    this.disk = new MemoryVersionStore(this.name);
  }

  /** Commits that nobody waited for are lost with Postgres, in one half of all deaths. */
  private loseWhatMayBeLost(): void {
    const { durable } = this;
    this.durable = null;
    if (durable === null || !this.servers.loseCommits || this.dice.chance(0.5)) return;
    this.scheduler.note(() => `${this.name} has lost its newest pages`);
    this.disk.restore(durable);
  }

  private open(): void {
    const start = this.starts;
    const clock = new Clock(this.scheduler, this.servers.hasTrueClocks ? null : this.dice);
    const options = {
      ...{ server: this.name, instance: `${this.name}#${start}` },
      ...{
        applyQueueLimit: 100,
        readWidth: 2,
        readQueueLimit: 100,
        pageBytes: PAGE_BYTES,
        catchUpSliceMs: COPY_SLICE_MS,
        // Each request digests two keys, so that comparing a shard takes several.
        digestPageKeys: 2,
        digestSliceMs: 0,
      },
      ...{ probeTimeoutMs: 5_000, nowMs: () => clock.nowMs },
    };
    const { mutations } = this.servers;
    const store = this.slowly(() => start === this.starts);
    const wrapped = mutations.wrapStore?.(this.name, store) ?? store;
    this.scheduler.touchPromises();
    void Replica.open(wrapped, this.servers.sourceFor(this.name), options, SILENT).then((replica) => {
      if (start !== this.starts) return;
      this.scheduler.note(() => `${this.name} listens`);
      mutations.patchReplica?.(replica);
      this.process = new NodeProcess(replica);
    });
  }

  /** A commit that may be lost leaves open what the disk holds after a crash, until one that may not be. */
  private async commit<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const before = this.disk.snapshot();
    const result = await this.disk.transact(work);
    this.durable = this.disk.newestMayBeLost ? (this.durable ?? before) : null;
    return result;
  }

  /** A store whose commits take time, in which the process may die: then nothing of them has happened. */
  private slowly(isAlive: () => boolean): VersionStore {
    const { disk, scheduler, dice } = this;
    const transact = async <T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> => {
      await scheduler.sleep(dice.between(1, 4));
      if (!isAlive()) return new Promise<never>(() => undefined);
      if (scheduler.nowMs < this.fullUntilMs)
        throw new ShardlineError('STORE_FAILED', 'no space is left on the device');
      const isInDoubt = scheduler.nowMs < this.inDoubtUntilMs;
      if (isInDoubt && dice.chance(0.3)) throw new ShardlineError('STORE_FAILED', 'the connection broke');
      const result = await this.commit(work);
      if (isInDoubt && dice.chance(0.4)) throw new ShardlineError('STORE_FAILED', 'the connection broke');
      return result;
    };
    return Object.assign(new SlowStore(disk, transact), this.slowReads());
  }

  /** Rows are looked at some time after the read was admitted. */
  private slowReads(): Partial<VersionStore> {
    const { disk, scheduler, dice } = this;
    const { readsMs } = this.servers;
    if (readsMs === 0) return {};
    return {
      readKeys: async (shard, vat, keys) => {
        await scheduler.sleep(dice.between(0, readsMs));
        return disk.readKeys(shard, vat, keys);
      },
      readRange: async (range, maxBytes) => {
        await scheduler.sleep(dice.between(0, readsMs));
        return disk.readRange(range, maxBytes);
      },
    };
  }
}

/** One request to a replica. */
export interface Call<T> {
  from: string;
  server: string;
  label: () => string;
  timeoutMs: number;
  /** What is asked, where some kinds of requests fare worse than others. */
  kind?: string;
  work: (replica: WiredReplica) => Promise<T>;
}

export class Servers {
  readonly byName = new Map<string, SimServer>();
  mutations: NodeMutations = {};
  /** What a replica need not wait for may be lost when its process ends. */
  loseCommits = false;
  /** How long it takes at most until a read looks at the rows, in milliseconds; 0: they are there at once. */
  readsMs = 0;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly network: Network,
    readonly hasTrueClocks = false,
  ) {}

  /** The server of that name, made if it is not there. */
  server(name: string): SimServer {
    let server = this.byName.get(name);
    if (server === undefined) {
      const dice = this.scheduler.dice(1_000 + this.byName.size);
      this.byName.set(name, (server = new SimServer(name, this, this.scheduler, dice)));
    }
    return server;
  }

  /** Its process and its data are gone for good. */
  remove(name: string): void {
    this.byName.get(name)?.kill();
    this.byName.delete(name);
  }

  get all(): SimServer[] {
    return [...this.byName.values()];
  }

  /** Asks a server. `done` is called once, within the deadline, whatever becomes of the messages. */
  call<T>({ from, server, label, timeoutMs, kind = '', work }: Call<T>, done: (outcome: Result<T>) => void): void {
    const { scheduler } = this;
    const handle = (reply: (outcome: Result<T>) => void): void => {
      const process = this.byName.get(server)?.process ?? null;
      if (process === null) {
        reply({ ok: false, error: nobodyThere(server) });
        return;
      }
      const fail = (error: ErrorBody): void => {
        reply({ ok: false, error });
      };
      process.underWay.add(fail);
      process.receive(() => {
        scheduler.touchPromises();
        const end = (outcome: Result<T>): void => {
          process.underWay.delete(fail);
          if (process.isAlive) reply(outcome);
        };
        void this.attempt(work, process.wired).then(end);
      });
    };
    this.network.ask({ from, to: server, timeoutMs, label, kind }, handle, done);
  }

  /** Where the server's replica copies from: other servers, over the same network. */
  sourceFor(server: string): CopySource {
    const source: CopySource = {
      fetch: (from, request) =>
        new Promise((resolve, reject) => {
          const label = (): string => `copy ${request.shard} (${request.from}, ${request.to}]`;
          const call = { from: server, server: from, label, timeoutMs: COPY_TIMEOUT_MS };
          this.call({ ...call, work: (replica) => replica.copy(request) }, (outcome) => {
            this.scheduler.touchPromises();
            if (outcome.ok) resolve({ ...outcome.value.header, text: outcome.value.text });
            else reject(ShardlineError.fromBody(outcome.error));
          });
        }),
    };
    return this.mutations.wrapSource?.(server, source) ?? source;
  }

  private async attempt<T>(work: Call<T>['work'], replica: WiredReplica): Promise<Result<T>> {
    try {
      return { ok: true, value: await work(replica) };
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      if (DEFECTS.includes(error.code)) this.scheduler.violate(`a replica failed: ${error.stack}`);
      return { ok: false, error: error.toBody() };
    }
  }
}

function goneAway(server: string): ErrorBody {
  return { code: 'NO_LEADER', message: `the process of ${server} went away before it answered`, retryable: false };
}

function nobodyThere(server: string): ErrorBody {
  return { code: 'NO_LEADER', message: `nobody listens at ${server}`, retryable: true };
}
