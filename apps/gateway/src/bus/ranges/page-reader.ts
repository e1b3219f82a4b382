/**
 * The rows of a range read, pulled page by page from the replicas and never parsed.
 *
 * At most one page is fetched ahead in the part that is being read, and the first page of the part behind it: memory does
 * not grow with the range. A replica that fails is left for the next one, from the key that was reached.
 */
import type { NatsConnection } from 'nats';
import type { RangeRead, ReadPart } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import type { NodeReadRequest } from '#common/contracts/node';
import { nodeSubject } from '#common/contracts/subjects';
import { throwFailure } from '#common/nats/codec';
import { parseJson, request } from '#common/nats/connection';
import { NODE_MESSAGES } from '#common/nats/node-messages';

type Plan = RangeRead['plan'];

/** Rows as JSON texts, joined by commas. */
interface Page {
  rows: Buffer;
  next: number | null;
}

/** The design's page size: the reader pulls the next one when it has room. */
const PAGE_BYTES = 512 * 1024;
const PAGE_TIMEOUT_MS = 3_000;
/** A replica that let a page time out is asked last for this long. */
const SUSPECT_MS = 5_000;

export class PageReader {
  /** Until when a server is asked last. */
  private readonly suspects = new Map<string, number>();

  constructor(private readonly nats: NatsConnection) {}

  /**
   * The pages in key order; none is empty. It is safe to stop early.
   *
   * @throws ShardlineError SNAPSHOT_GONE when a new plan is needed: another one leads, or no replica of a part has the snapshot and one
   * says so; SHARD_UNAVAILABLE when no replica of a part answers
   */
  async *pages(plan: Plan): AsyncGenerator<Buffer, void, undefined> {
    const parts = plan.parts.map((part) => new PartPages(part, (low) => this.fetchPage(part, plan.epoch, low)));
    for (const [index, part] of parts.entries()) {
      part.start();
      parts[index + 1]?.start();
      for (let rows = await part.take(); rows !== null; rows = await part.take()) {
        if (rows.length > 0) yield rows;
      }
    }
  }

  private async fetchPage(part: ReadPart, epoch: number, low: number): Promise<Page> {
    let failure: ShardlineError | null = null;
    let gone: ShardlineError | null = null;
    for (const server of this.byTrust(part.servers)) {
      try {
        return await this.ask(server, {
          epoch,
          reads: [{ shard: part.shard, vat: part.vat, low, high: part.high }],
          maxBytes: PAGE_BYTES,
        });
      } catch (thrown) {
        failure = ShardlineError.from(thrown);
        // Another one leads: every replica will say so soon.
        if (failure.code === 'FENCED') throw snapshotGone(failure);
        // So says one that is being copied, too; the others have what the leader holds for this read.
        if (failure.code === 'SNAPSHOT_GONE') gone = failure;
        if (failure.code === 'OUTCOME_UNKNOWN') this.suspects.set(server, performance.now() + SUSPECT_MS);
      }
    }
    if (gone !== null) throw snapshotGone(gone);
    throw new ShardlineError('SHARD_UNAVAILABLE', `no replica of ${part.shard} answers`, true, { cause: failure });
  }

  private byTrust(servers: readonly string[]): readonly string[] {
    if (this.suspects.size === 0) return servers;
    const nowMs = performance.now();
    for (const [server, untilMs] of this.suspects) if (untilMs <= nowMs) this.suspects.delete(server);
    const trusted = servers.filter((server) => !this.suspects.has(server));
    return [...trusted, ...servers.filter((server) => this.suspects.has(server))];
  }

  private async ask(server: string, asked: NodeReadRequest): Promise<Page> {
    const data = await request(this.nats, nodeSubject(server, 'read'), JSON.stringify(asked), PAGE_TIMEOUT_MS);
    return readPage(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }
}

/** The plan is void, and a new one is to be asked for. */
function snapshotGone(cause: ShardlineError): ShardlineError {
  return new ShardlineError('SNAPSHOT_GONE', cause.message, true, { cause });
}

/** The pages of one part, one fetched ahead. */
class PartPages {
  private coming: Promise<Page> | null = null;
  private started = false;

  constructor(
    private readonly part: ReadPart,
    private readonly fetch: (low: number) => Promise<Page>,
  ) {}

  start(): void {
    if (this.started) return;
    this.started = true;
    this.ahead(this.part.low);
  }

  /** The next page's rows; null behind the last. @throws ShardlineError as PageReader.pages */
  async take(): Promise<Buffer | null> {
    if (this.coming === null) return null;
    const { rows, next } = await this.coming;
    this.coming = null;
    if (next !== null) this.ahead(next);
    return rows;
  }

  private ahead(low: number): void {
    this.coming = this.fetch(low);
    // Whoever takes it sees the failure; a reader that stopped early takes it no more.
    this.coming.catch(() => undefined);
  }
}

/** The one page of an answer, cut out of the message as it came. @throws ShardlineError what the replica answered */
export function readPage(message: Buffer): Page {
  throwFailure(message);
  const end = message.indexOf(',\n');
  const header = parseJson<unknown>(message.subarray(1, end === -1 ? message.length - 1 : end));
  const [page] = NODE_MESSAGES.read.reply.check(header).pages;
  if (page === undefined) throw new ShardlineError('BAD_MESSAGE', 'a replica answered with no page');
  return { rows: end === -1 ? Buffer.alloc(0) : message.subarray(end + 2, message.length - 1), next: page.next };
}
