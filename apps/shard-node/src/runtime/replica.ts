/** What a shard-node does with each verb: the core decides, the store keeps. */
import { ShardlineError } from '#common/contracts/errors';
import type {
  ApplyReply,
  ApplyRequest,
  CatchupReply,
  CensusReply,
  CatchupRequest,
  ConfigReply,
  ConfigRequest,
  CopyReply,
  CopyRequest,
  DigestReply,
  DigestRequest,
  FenceReply,
  FenceRequest,
  NodeReadReply,
  NodeReadRequest,
  OperationLookup,
  OperationLookupReply,
  PingReply,
  ProbeReply,
  ProbeRequest,
  PingRequest,
} from '#common/contracts/node';
import type { Logger } from '#common/logging/logger';
import { joinRows, type RawLines } from '#common/nats/lines';
import { answerAgain, type AnsweredMessage } from '../core/repeated-message';
import { newMark, refuseOtherProcess, stampOf, fenceReport } from '../core/cluster-knowledge';
import { admitEpoch, fencedBy, reportShards, withShards, type ShardState } from '../core/replica-state';
import { planSteps, refuseOtherConfig } from '../core/round-plan';
import { admitCopy, admitSnapshot, raisedByPing } from '../core/serving';
import type { CopySource } from '../ports/copy-source';
import type { VersionStore } from '../ports/version-store';
import { applyStep } from './apply-step';
import { Configurations } from './configurations';
import { CopyTarget, type CopyTargetOptions } from './copy-target';
import { GuardedState } from './guarded-state';
import { JobLimiter } from './job-limiter';
import { Purger } from './purger';
import { planReads } from './read-plan';
import { readCopyPage } from './copy-page';

export interface ReplicaOptions extends CopyTargetOptions {
  server: string;
  /** Another one after every start of the process. */
  instance: string;
  /** Keys that one statement digests at the most: so few that no other read waits long for it. */
  digestPageKeys: number;
  /** So long a request for a digest is worked on, at least for one statement. */
  digestSliceMs: number;
  /** Writes that may wait. */
  applyQueueLimit: number;
  /** Reads that run at once, and that may wait. */
  readWidth: number;
  readQueueLimit: number;
  /** How long the store may take to prove that it is there. */
  probeTimeoutMs: number;
  /** What pings report of the process and its machine; without it nothing is known of them. */
  vitals?: ProcessVitals;
}

/** What a process can say of itself and of its disk. */
export interface ProcessVitals {
  /** Bytes that the file system of the data still takes; null when that is not known. Never rejects. */
  diskFreeBytes(): Promise<number | null>;
  /** 99th percentile of how late the event loop was since this was asked last. */
  eventLoopDelayMs(): number | null;
}

/** Of large rows one statement digests no more than this, by the largest of them. */
const DIGEST_PAGE_BYTES = 16 * 1024 * 1024;

export class Replica {
  private readonly reads: JobLimiter;
  private readonly purger: Purger;
  private readonly startedMs: number;
  private readonly copyTarget: CopyTarget;
  private readonly configurations: Configurations;
  private readonly vitals: ProcessVitals | null;
  private storingNews: Promise<void> | null = null;
  private lastApplied: AnsweredMessage | null = null;

  private constructor(
    private readonly store: VersionStore,
    source: CopySource,
    private readonly guarded: GuardedState,
    private readonly options: ReplicaOptions,
    private readonly logger: Logger,
  ) {
    this.vitals = options.vitals ?? null;
    this.reads = new JobLimiter('reads', options.readWidth, options.readQueueLimit);
    this.purger = new Purger(guarded, logger);
    this.configurations = new Configurations(store, guarded, logger, options.instance);
    this.configurations.sweep();
    this.copyTarget = new CopyTarget(guarded, source, options);
    this.startedMs = options.nowMs();
  }

  static async open(
    store: VersionStore,
    source: CopySource,
    options: ReplicaOptions,
    logger: Logger,
  ): Promise<Replica> {
    return new Replica(store, source, await GuardedState.load(store, options.applyQueueLimit), options, logger);
  }

  /** All rounds of the message in one transaction, or none; the newest message again gets the same answer. @throws ShardlineError */
  apply(request: ApplyRequest, rows: readonly string[]): Promise<ApplyReply> {
    const steps = planSteps(request, rows);
    return this.guarded.change(request.epoch, async (transaction, state) => {
      refuseOtherConfig(state.configId, request);
      const again = answerAgain(state, this.lastApplied, request);
      if (again !== null) return { state, result: again };
      const shards = new Map(state.shards);
      const replies = new Map<number, ApplyReply['rounds'][number]['parts']>();
      for (const { round } of request.rounds) replies.set(round, []);
      for (const step of steps) {
        const results = await applyStep(transaction, shards, step);
        results.forEach(({ reply, write }, index) => {
          shards.set(write.state.shard, write.state);
          replies.get(step[index]?.id.round ?? 0)?.push(reply);
        });
      }
      const rounds = [...replies].map(([round, parts]) => ({ round, parts }));
      // When the commit fails, the rounds are not the newest ones, and this is never given.
      this.lastApplied = { request, reply: { rounds } };
      return { state: { ...state, shards }, result: { rounds } };
    });
  }

  /** Answers when something is durable that has stood in the queue of all writes. @throws ShardlineError */
  probe({ epoch }: ProbeRequest): Promise<ProbeReply> {
    return this.guarded.change(epoch, (transaction, state) => {
      transaction.saveIdentity(state);
      return Promise.resolve({ state, result: {} });
    });
  }

  /** Pages, each at one VAT; no lock, nothing is cleaned. @throws ShardlineError */
  async read(request: NodeReadRequest): Promise<RawLines<NodeReadReply>> {
    await this.admit(request.epoch);
    const { reads, maxBytes } = request;
    for (const { shard, vat } of reads) this.admitRead(shard, vat);
    const pages: NodeReadReply['pages'] = reads.map(() => ({ count: 0, next: null }));
    const texts: string[] = reads.map(() => '');
    const { points, ranges } = planReads(reads);
    const pointJobs = points.map(async ({ shard, vat, keys, places }) => {
      const rows = await this.reads.run(() => this.store.readKeys(shard, vat, keys));
      places.forEach((place, index) => {
        const row = rows.get(keys[index] ?? Number.NaN);
        if (row === undefined) return;
        texts[place] = row;
        pages[place] = { count: 1, next: null };
      });
    });
    const rangeJobs = ranges.map(async ({ read, place }) => {
      const page = await this.reads.run(() => this.store.readRange(read, maxBytes));
      texts[place] = page.text;
      pages[place] = { count: page.count, next: page.next };
    });
    await Promise.all([...pointJobs, ...rangeJobs]);
    // What was purged, dropped or fenced while we read must not be sent.
    admitEpoch(this.guarded.current, request.epoch);
    for (const { shard, vat } of reads) this.admitRead(shard, vat);
    return { header: { pages }, text: joinRows(texts.filter((text) => text !== '')) };
  }

  /** @throws ShardlineError ALREADY_CONFIGURED when a later configuration is held here */
  async config(request: ConfigRequest): Promise<ConfigReply> {
    const taken = await this.configurations.adopt(request);
    return { instance: this.options.instance, ...taken };
  }

  /** Reports that the server is there; no fence, and nothing to rely on. */
  census(): CensusReply {
    return { server: this.options.server, configId: this.guarded.current.configId };
  }

  async fence(request: FenceRequest): Promise<FenceReply> {
    await this.guarded.settled();
    if (fencedBy(this.guarded.current, request) !== null) {
      await this.guarded.change(null, (transaction, state) => {
        const fenced = fencedBy(state, request) ?? state;
        transaction.saveIdentity(fenced);
        return Promise.resolve({ state: fenced, result: undefined });
      });
    }
    return { instance: this.options.instance, ...fenceReport(this.guarded.current, request) };
  }

  async ping(request: PingRequest): Promise<PingReply> {
    const [postgres, diskFreeBytes] = await Promise.all([this.health(), this.vitals?.diskFreeBytes() ?? null]);
    // Without Postgres nothing can be stored, a higher epoch neither; that is to be reported then, and not to be waited for.
    if (postgres === 'ok' || request.epoch !== this.guarded.current.epoch) await this.admit(request.epoch);
    if (postgres === 'ok') {
      this.storeNews(request);
      this.purger.wish(request);
    }
    const state = this.guarded.current;
    return {
      server: this.options.server,
      instance: this.options.instance,
      uptimeMs: Math.round(this.options.nowMs() - this.startedMs),
      postgres,
      diskFreeBytes,
      eventLoopDelayMs: this.vitals?.eventLoopDelayMs() ?? null,
      epoch: state.epoch,
      configId: state.configId,
      cluster: stampOf(state.cluster),
      shards: reportShards(state),
    };
  }

  async copy(request: CopyRequest): Promise<RawLines<CopyReply>> {
    await this.admit(request.epoch);
    const { shard } = request;
    const admitted = (): ShardState => {
      this.refuseReplaced(shard);
      return admitCopy(this.guarded.current, request);
    };
    admitted();
    const { text, ...header } = await this.reads.run(() => readCopyPage(this.store, request, admitted().forgottenUpTo));
    admitted();
    return { header, text };
  }

  /** Fetches pages from the source and stores them. @throws ShardlineError */
  async catchup(request: CatchupRequest): Promise<CatchupReply> {
    await this.admit(request.epoch);
    refuseOtherProcess(this.options.instance, request);
    return this.copyTarget.catchUp(request);
  }

  /** Of a whole shard so much at a time as takes `digestSliceMs`. @throws ShardlineError */
  async digest(request: DigestRequest): Promise<DigestReply> {
    await this.admit(request.epoch);
    const { shard, vat, within } = request;
    const admitted = (): ShardState => {
      admitEpoch(this.guarded.current, request.epoch);
      return this.admitRead(shard, vat);
    };
    const { maxRowBytes } = admitted();
    const reply =
      within === undefined
        ? await this.digestOnwards(request, maxRowBytes)
        : await this.reads.run(() => this.store.digestWithin(shard, vat, within));
    admitted();
    return reply;
  }

  private async digestOnwards(request: DigestRequest, maxRowBytes: number): Promise<DigestReply> {
    const { shard, vat, forgottenUpTo } = request;
    const maxKeys = Math.min(this.options.digestPageKeys, Math.ceil(DIGEST_PAGE_BYTES / (maxRowBytes + 1)));
    const deadlineMs = this.options.nowMs() + this.options.digestSliceMs;
    let sum = 0n;
    let rows = 0;
    let next = request.after ?? null;
    do {
      const range = { shard, vat, after: next };
      const page = await this.reads.run(() => this.store.digestPage(range, maxKeys));
      sum += BigInt(page.digest);
      rows += page.rows;
      next = page.next;
    } while (next !== null && this.options.nowMs() < deadlineMs);
    const reply = { digest: String(sum), rows, next };
    if (next !== null || forgottenUpTo === undefined) return reply;
    const records = await this.reads.run(() => this.store.digestRecords({ shard, after: forgottenUpTo, upTo: vat }));
    return { records, ...reply };
  }

  /** What became of an op, as far as that is not forgotten. @throws ShardlineError */
  async operation(request: OperationLookup): Promise<OperationLookupReply> {
    await this.admit(request.epoch);
    const admitAll = (): void => {
      for (const { shard, vat } of request.shards) this.admitRead(shard, vat);
    };
    admitAll();
    const ranges = request.shards.map(({ shard, vat, forgottenUpTo }) => ({ shard, after: forgottenUpTo, upTo: vat }));
    const found = await this.reads.run(() => this.store.findRecords(request.id, ranges));
    admitEpoch(this.guarded.current, request.epoch);
    admitAll();
    return { found };
  }

  /** Resolves when nothing goes on in the background. */
  async idle(): Promise<void> {
    await this.storingNews;
    await this.purger.idle();
    await this.configurations.idle();
  }

  async stop(): Promise<void> {
    await this.purger.stop();
    await this.configurations.idle();
    await this.storingNews;
  }

  /** Refuses a lower epoch; a higher one is durable when this resolves. @throws ShardlineError FENCED, STORE_FAILED */
  private async admit(epoch: number): Promise<void> {
    await this.guarded.settled();
    if (admitEpoch(this.guarded.current, epoch) === null) return;
    await this.guarded.change(epoch, async (_transaction, state) => ({ state, result: undefined }));
  }

  private admitRead(shard: string, vat: number): ShardState {
    this.refuseReplaced(shard);
    return admitSnapshot(this.guarded.current, shard, vat);
  }

  private refuseReplaced(shard: string): void {
    if (!this.guarded.isBeingReplaced(shard)) return;
    throw new ShardlineError('SNAPSHOT_GONE', `the rows of shard ${shard} are being replaced`);
  }

  /** Stores VATs that a ping brought; in the background, so that a heartbeat never waits for the disk. */
  private storeNews(request: PingRequest): void {
    const { current } = this.guarded;
    const isNews = raisedByPing(current, request).length > 0 || newMark(current.mark, request.bucket) !== null;
    if (this.storingNews !== null || !isNews) return;
    this.storingNews = this.guarded
      .change(request.epoch, async (transaction, state) => {
        const raised = raisedByPing(state, request);
        for (const shard of raised) transaction.saveShard(shard);
        const mark = newMark(state.mark, request.bucket);
        if (mark !== null) transaction.saveMark(mark);
        return { state: { ...withShards(state, raised), mark: mark ?? state.mark }, result: undefined };
      })
      .catch((error: unknown) => {
        this.logger.warn({ err: error }, 'could not store the committed VATs of a ping');
      })
      .finally(() => {
        this.storingNews = null;
      });
  }

  private async health(): Promise<PingReply['postgres']> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'down'>((resolve) => {
      timer = setTimeout(resolve, this.options.probeTimeoutMs, 'down');
    });
    const answered = this.store.probe().then(
      () => 'ok' as const,
      (error: unknown) => {
        this.logger.warn({ err: error }, 'Postgres does not answer');
        return 'down' as const;
      },
    );
    const health = await Promise.race([answered, late]);
    clearTimeout(timer);
    return health;
  }
}
