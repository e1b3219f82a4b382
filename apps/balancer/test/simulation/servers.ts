/** Simulated shard-nodes: the real replica over a store in memory that outlives its process, and the way to reach them. */
import { ShardlineError, type ErrorBody } from '#common/contracts/errors';
import { createLogger } from '#common/logging/logger';
import { MemoryVersionStore } from '../../../shard-node/src/adapters/memory/memory-version-store';
import type { CopySource } from '../../../shard-node/src/ports/copy-source';
import type { VersionStore, WriteTransaction } from '../../../shard-node/src/ports/version-store';
import { Replica } from '../../../shard-node/src/runtime/replica';
import type { Outcome } from '../../src/core/effects';
import type { Scheduler } from './scheduler';

/** How badly messages fare. */
export interface Weather {
  /** Of requests and of answers. */
  lossProbability: number;
  /** Messages that take much longer than others, so that they are overtaken or come after their deadline. */
  slowProbability: number;
}

const CALM: Weather = { lossProbability: 0, slowProbability: 0 };
const SILENT = createLogger('simulation', 'silent');
const PAGE_BYTES = 90;
const COPY_TIMEOUT_MS = 200;
const COPY_SLICE_MS = 80;

/** What a test may break on purpose; see `weaknesses.ts`. */
export interface NodeFlaws {
  wrapSource?: (server: string, source: CopySource) => CopySource;
}

/** One life of a shard-node's process. */
class NodeProcess {
  isAlive = true;
  isPaused = false;
  readonly inbox: (() => void)[] = [];
  /** Fails what is under way here when the process ends. */
  readonly underWay = new Set<(error: ErrorBody) => void>();

  constructor(readonly replica: Replica) {}

  receive(job: () => void): void {
    if (this.isPaused) this.inbox.push(job);
    else job();
  }
}

export class SimServer {
  disk: MemoryVersionStore;
  process: NodeProcess | null = null;
  private starts = 0;

  constructor(
    readonly name: string,
    private readonly scheduler: Scheduler,
    private readonly network: Network,
  ) {
    this.disk = new MemoryVersionStore(name);
  }

  /** Ends the process that runs, if any, and starts another one; it listens some time later. */
  start(): void {
    this.kill();
    const start = ++this.starts;
    this.scheduler.after(this.scheduler.between(20, 120), () => {
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
    for (const fail of process.underWay)
      this.scheduler.after(this.scheduler.between(1, 100), () => {
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

  private open(): void {
    const instance = `${this.name}#${this.starts}`;
    const options = {
      ...{
        server: this.name,
        instance,
        applyQueueLimit: 100,
        readWidth: 2,
        readQueueLimit: 100,
        pageBytes: PAGE_BYTES,
        catchUpSliceMs: COPY_SLICE_MS,
      },
      ...{ probeTimeoutMs: 5_000, nowMs: () => this.scheduler.nowMs },
    };
    const start = this.starts;
    const store = slowly(this.disk, this.scheduler, () => start === this.starts);
    this.scheduler.touchPromises();
    void Replica.open(store, this.network.sourceFor(this.name), options, SILENT).then((replica) => {
      if (start !== this.starts) return;
      this.scheduler.note(() => `${this.name} listens`);
      this.process = new NodeProcess(replica);
    });
  }
}

/** A store whose commits take time, in which the process may die: then nothing of them has happened. */
function slowly(disk: MemoryVersionStore, scheduler: Scheduler, isAlive: () => boolean): VersionStore {
  return {
    load: () => disk.load(),
    transact: async <T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> => {
      await scheduler.sleep(scheduler.between(1, 4));
      if (!isAlive()) return new Promise<never>(() => undefined);
      return disk.transact(work);
    },
    readRange: (range, maxBytes) => disk.readRange(range, maxBytes),
    readKeys: (shard, vat, keys) => disk.readKeys(shard, vat, keys),
    copyPage: (range, after, maxBytes) => disk.copyPage(range, after, maxBytes),
    recordPage: (range, maxBytes) => disk.recordPage(range, maxBytes),
    findRecords: (id, ranges) => disk.findRecords(id, ranges),
    digestRecords: (range) => disk.digestRecords(range),
    digest: (shard, vat, within) => disk.digest(shard, vat, within),
    probe: () => disk.probe(),
    close: () => disk.close(),
  };
}

/** One request to a replica. `from` names the sender, which may be cut off from the server. */
export interface Call<T> {
  from: string;
  server: string;
  label: () => string;
  timeoutMs: number;
  work: (replica: Replica) => Promise<T>;
}

export class Network {
  readonly servers = new Map<string, SimServer>();
  weather = CALM;
  /** `sender>server` pairs between which nothing arrives. */
  readonly cuts = new Set<string>();
  flaws: NodeFlaws = {};

  constructor(private readonly scheduler: Scheduler) {}

  /** The server of that name, made if it is not there. */
  server(name: string): SimServer {
    let server = this.servers.get(name);
    if (server === undefined) this.servers.set(name, (server = new SimServer(name, this.scheduler, this)));
    return server;
  }

  /** How long a message takes; it may be longer than any deadline. */
  delay(): number {
    const { scheduler, weather } = this;
    if (!scheduler.chance(weather.slowProbability)) return scheduler.between(1, 4);
    return scheduler.chance(0.2) ? scheduler.between(150, 900) : scheduler.between(10, 150);
  }

  isLost(): boolean {
    return this.scheduler.chance(this.weather.lossProbability);
  }

  /** Asks a server. `done` is called once, within the deadline, whatever becomes of the messages. */
  call<T>({ from, server, label, timeoutMs, work }: Call<T>, done: (outcome: Outcome<T>) => void): void {
    const { scheduler } = this;
    let isSettled = false;
    const settle = (outcome: Outcome<T>): void => {
      if (isSettled) return;
      isSettled = true;
      scheduler.note(
        () =>
          `${from} <- ${server} ${label()}: ${outcome.ok ? 'ok' : `${outcome.error.code} ${outcome.error.message}`}`,
      );
      done(outcome);
    };
    const answer = (outcome: Outcome<T>): void => {
      if (!this.isLost() && !this.cuts.has(`${from}>${server}`))
        scheduler.after(this.delay(), () => {
          settle(outcome);
        });
    };
    scheduler.after(timeoutMs, () => {
      settle({ ok: false, error: noAnswer(server) });
    });
    if (this.isLost() || this.cuts.has(`${from}>${server}`)) return;
    scheduler.after(this.delay(), () => {
      const process = this.servers.get(server)?.process ?? null;
      if (process === null) {
        scheduler.after(1, () => {
          settle({ ok: false, error: nobodyThere(server) });
        });
        return;
      }
      const fail = (error: ErrorBody): void => {
        settle({ ok: false, error });
      };
      process.underWay.add(fail);
      process.receive(() => {
        scheduler.touchPromises();
        const end = (outcome: Outcome<T>): void => {
          process.underWay.delete(fail);
          if (process.isAlive) answer(outcome);
        };
        void this.attempt(work, process.replica).then(end);
      });
    });
  }

  private async attempt<T>(work: (replica: Replica) => Promise<T>, replica: Replica): Promise<Outcome<T>> {
    try {
      return { ok: true, value: await work(replica) };
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      // A defect is not one of the faults that are simulated, and neither is a store that refuses.
      if (['INTERNAL', 'STORE_FAILED', 'BAD_MESSAGE'].includes(error.code))
        this.scheduler.violate(`a replica failed: ${error.stack}`);
      return { ok: false, error: error.toBody() };
    }
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
    return this.flaws.wrapSource?.(server, source) ?? source;
  }
}

function goneAway(server: string): ErrorBody {
  return { code: 'NO_LEADER', message: `the process of ${server} went away before it answered`, retryable: false };
}

function nobodyThere(server: string): ErrorBody {
  return { code: 'NO_LEADER', message: `nobody listens at ${server}`, retryable: true };
}

function noAnswer(server: string): ErrorBody {
  return { code: 'OUTCOME_UNKNOWN', message: `no answer from ${server} in time`, retryable: false };
}
