/** The versions of a replica in Postgres: one table per shard, and the fixed tables beside them. */
import type { Pool, PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { ShardlineError } from '#common/contracts/errors';
import type { CopyCursor, DigestPart, DigestRange, DigestReply } from '#common/contracts/node';
import { partAt, partWidth, sumOf } from '../../core/digest-parts';
import { parseOutcome } from '../../core/op-records';
import { blankIdentity, type NodeIdentity, type ReplicaState } from '../../core/replica-state';
import type {
  DigestPage,
  DigestPageRange,
  FoundRecord,
  RecordPage,
  RecordRange,
  RowPage,
  RowRange,
  VersionPage,
  VersionRange,
  VersionStore,
  WriteTransaction,
} from '../../ports/version-store';
import { readCopyPage, type CopyAnswers } from './pages/version-page';
import { copyOut } from './sql/copy-statements';
import { poolOf } from './data-source';
import { asStoreFailure, breaksConnection } from './sql/failures';
import { NodeT, TermT } from './entities/node-entities';
import { DIGEST_OPS, FIND_OPS, OP_PAGE, recordOf, texts } from './sql/op-statements';
import { readPage, RowSizes, type Chunk, type ChunkSource } from './pages/bounded-pages';
import { PreparedStatements } from './sql/prepared-statements';
import { bigints, PostgresTransaction, type TransactionEffects } from './postgres-transaction';
import { createTableStatements } from './entities/shard-entity';
import { sweepReplaced } from './sql/replaced-tables';
import { prepared, ShardStatements, type Statement } from './sql/shard-statements';
import { identityOf, shardStateOf, withSharedTerms } from './sql/term-statements';
import { runPrepared, WriterConnection, type Cells } from './sql/writer-connection';

/** What the store keeps in memory of one shard. */
interface ShardHandle {
  statements: ShardStatements;
  /** Of the shard's row of `term_t`. */
  version: number;
  sizes: RowSizes;
  /** The same, as COPY writes them. */
  copySizes: RowSizes;
  maxRowBytes: number;
}

/** So many tables that come or go in one transaction are hardly the last ones. */
const MANY_TABLES = 32;

const PROBE = prepared('SELECT 1');

export class PostgresVersionStore implements VersionStore {
  private readonly pool: Pool;
  private readonly writer: WriterConnection;
  private readonly prepared: PreparedStatements;
  private shards = new Map<string, ShardHandle>();

  /**
   * @param dataSource connected, its migrations run; the store closes it
   * @param server the node's name, stored with the data
   * @param mostStatements that a connection prepares before it is replaced
   */
  constructor(
    private readonly dataSource: DataSource,
    private readonly server: string,
    mostStatements?: number,
  ) {
    this.pool = poolOf(dataSource);
    this.prepared = new PreparedStatements(mostStatements);
    this.writer = new WriterConnection(() => this.connect(), this.prepared);
  }

  /** @throws ShardlineError STORE_FAILED; when the data are another server's, too */
  async load(): Promise<ReplicaState> {
    return guarded(async () => {
      const node = await this.dataSource.getRepository(NodeT).findOneBy({ id: 1 });
      const rows = await this.dataSource.getRepository(TermT).find();
      const identity: NodeIdentity = node === null ? blankIdentity(this.server) : identityOf(node);
      if (identity.server !== this.server) {
        throw new ShardlineError('STORE_FAILED', `the data belong to server ${identity.server}, not to ${this.server}`);
      }
      const before = this.shards;
      this.shards = new Map();
      for (const { shard, version, maxRowBytes } of rows) {
        if (identity.schema === null)
          throw new ShardlineError('STORE_FAILED', `shard ${shard} is stored without a schema`);
        const known = before.get(shard);
        const statements = known?.statements ?? new ShardStatements(shard, identity.schema);
        this.shards.set(shard, {
          statements,
          version,
          maxRowBytes,
          sizes: known?.sizes ?? new RowSizes(),
          copySizes: known?.copySizes ?? new RowSizes(),
        });
      }
      const states = withSharedTerms(rows.map(shardStateOf));
      return { ...identity, shards: new Map(states.map((state) => [state.shard, state])) };
    });
  }

  async transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const client = await guarded(() => this.writer.acquire());
    const transaction = new PostgresTransaction(client, {
      statements: (shard) => this.handle(shard).statements,
      newStatements: (shard, schema) => new ShardStatements(shard, schema),
      createTable: (shard, schema, within) => createTableStatements(this.dataSource, shard, schema, within),
      held: () => [...this.shards.keys()],
      version: (shard) => this.handle(shard).version,
      execute: (on, statement, values) => this.execute(on, statement, values),
    });
    try {
      const result = await work(transaction);
      await transaction.commit();
      this.takeOver(transaction.effects);
      return result;
    } catch (thrown) {
      try {
        await transaction.rollback();
        if (breaksConnection(thrown)) this.writer.discard(client);
      } catch {
        // The connection itself failed: Postgres rolls back when it notices. The cause is reported below.
        this.writer.discard(client);
      }
      throw asStoreFailure(thrown);
    }
  }

  async readRange({ shard, vat, low, high }: RowRange, maxBytes: number): Promise<RowPage> {
    const { statements, sizes, maxRowBytes } = this.handle(shard);
    // `after + 1` never gets beyond `high`, where it could be rounded: there is nothing behind `high` to ask for.
    const from = (after: number | null): number => (after === null ? low : after + 1);
    const atEnd = (after: number | null): boolean => after !== null && after >= high;
    const source: ChunkSource<number> = {
      plain: async ({ after, limit }) => {
        if (atEnd(after)) return NOTHING;
        const [text, count, last] = await this.askOne(statements.range, [from(after), high, vat, limit]);
        return rangeChunk(text, count, count, last);
      },
      cut: async ({ after, limit, room, firstMayCome }) => {
        if (atEnd(after)) return NOTHING;
        const values = [from(after), high, vat, limit, room, firstMayCome];
        const [text, count, last, looked] = await this.askOne(statements.cutRange, values);
        return rangeChunk(text, count, looked, last);
      },
    };
    const page = await readPage(source, null, maxBytes, sizes, maxRowBytes);
    const next = page.next === null || page.next >= high ? null : page.next + 1;
    return { text: page.text, count: page.count, next };
  }

  async readKeys(shard: string, vat: number, keys: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const rows = await this.ask(this.handle(shard).statements.points, [bigints(keys), vat]);
    return new Map(rows.map(([key, row]) => [Number(key), String(row)]));
  }

  async copyPage(range: VersionRange, after: CopyCursor | null, maxBytes: number): Promise<VersionPage> {
    const { statements, copySizes, maxRowBytes } = this.handle(range.shard);
    const { from, to } = range;
    const fitting = from === 0 ? statements.fittingSnapshot : statements.fittingDifference;
    const answers: CopyAnswers = {
      copy: (ask, take) => this.use((client) => copyOut(client, statements.copyOut(range, ask.after, ask.limit), take)),
      fitting: async (ask, room) => {
        const values = [...cursorValues(ask.after), ask.limit, to, room];
        const [count] = await this.askOne(fitting, from === 0 ? values : [...values, from]);
        return Number(count);
      },
    };
    return readCopyPage(answers, range, after, maxBytes, copySizes, maxRowBytes + VERSION_BYTES);
  }

  async recordPage({ shard, after, upTo }: RecordRange, maxBytes: number): Promise<RecordPage> {
    const limit = Math.max(1, Math.floor(maxBytes / RECORD_BYTES));
    const rows = await this.ask(OP_PAGE, [shard, after, upTo, limit]);
    const records = rows.map(recordOf);
    return { records, next: records.length < limit ? null : (records[limit - 1]?.term ?? null) };
  }

  async findRecords(id: string, ranges: readonly RecordRange[]): Promise<FoundRecord[]> {
    const shards = texts(ranges.map(({ shard }) => shard));
    const terms = [bigints(ranges.map(({ after }) => after)), bigints(ranges.map(({ upTo }) => upTo))];
    const rows = await this.ask(FIND_OPS, [id, shards, ...terms]);
    return rows.map(([shard, term, outcome]) => ({
      shard: String(shard),
      term: Number(term),
      outcome: parseOutcome(String(outcome)),
    }));
  }

  async digestRecords({ shard, after, upTo }: RecordRange): Promise<string> {
    const [sum] = await this.askOne(DIGEST_OPS, [shard, after, upTo]);
    return String(sum);
  }

  async digestPage({ shard, vat, after }: DigestPageRange, maxKeys: number): Promise<DigestPage> {
    const { digestPage } = this.handle(shard).statements;
    // Keys are whole numbers within ±2^53: this one lies before all of them.
    const [rows, sum, next] = await this.askOne(digestPage, [vat, after ?? -(2 ** 53) - 2, maxKeys]);
    return { digest: String(sum), rows: Number(rows), next: next === null ? null : Number(next) };
  }

  async digestWithin(shard: string, vat: number, within: DigestRange): Promise<DigestReply> {
    const { statements } = this.handle(shard);
    const keys = [vat, within.low, within.high];
    const cells = await this.ask(statements.digestParts, [...keys, partWidth(within)]);
    const parts = cells.map(([index, rows, digest]): DigestPart => {
      return { ...partAt(within, Number(index)), digest: String(digest), rows: Number(rows) };
    });
    const sum = sumOf(parts);
    if (sum.rows > within.parts) return { ...sum, next: null, parts };
    const found = await this.ask(statements.digestVersions, keys);
    const versions = found.map(([key, cat, digest]) => ({
      key: Number(key),
      cat: Number(cat),
      digest: String(digest),
    }));
    return { ...sum, next: null, parts, versions };
  }

  async sweep(): Promise<void> {
    await sweepReplaced((text, values) =>
      this.use(async (client) => (await client.query<{ name: string }>(text, values)).rows),
    );
  }

  async probe(): Promise<void> {
    await this.ask(PROBE, []);
  }

  async close(): Promise<void> {
    this.writer.close();
    await this.dataSource.destroy();
  }

  private handle(shard: string): ShardHandle {
    const handle = this.shards.get(shard);
    if (handle === undefined) throw new ShardlineError('UNKNOWN_SHARD', `this replica does not hold shard ${shard}`);
    return handle;
  }

  private takeOver({ versions, created, dropped, maxRowBytes, outdatesStatements }: TransactionEffects): void {
    if (outdatesStatements || created.size + dropped.size >= MANY_TABLES) this.prepared.outdate();
    for (const shard of dropped) this.shards.delete(shard);
    for (const [shard, statements] of created) {
      this.shards.set(shard, {
        statements,
        version: 0,
        sizes: new RowSizes(),
        copySizes: new RowSizes(),
        maxRowBytes: 0,
      });
    }
    for (const [shard, version] of versions) this.handle(shard).version = version;
    for (const [shard, bytes] of maxRowBytes) this.handle(shard).maxRowBytes = bytes;
  }

  private ask(statement: Statement, values: unknown[]): Promise<Cells[]> {
    return this.use((client) => this.execute(client, statement, values));
  }

  private execute(client: PoolClient, statement: Statement, values: unknown[]): Promise<Cells[]> {
    this.prepared.remember(client, statement.name);
    return runPrepared(client, statement, values);
  }

  /** A connection of the pool that is good for use. */
  private async connect(): Promise<PoolClient> {
    for (;;) {
      const client = await this.pool.connect();
      if (!this.prepared.isWornOut(client)) return client;
      client.release(true);
    }
  }

  /** Lends a connection for reading. */
  private use<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return guarded(async () => {
      const client = await this.connect();
      // The end of the connection fails the statement; without anybody who listens it would end the process, too.
      client.on('error', ignored);
      let failed = true;
      try {
        const result = await work(client);
        failed = false;
        return result;
      } finally {
        client.off('error', ignored);
        // A connection on which something failed is not worth being looked into.
        client.release(failed);
      }
    });
  }

  private async askOne(statement: Statement, values: unknown[]): Promise<Cells> {
    return (await this.ask(statement, values))[0] ?? [];
  }
}

/** What the terms of a version take besides its row, at the most. */
const VERSION_BYTES = 64;

/** A record at its largest: an id of 128 characters, a fingerprint of 64, what stands around them. */
const RECORD_BYTES = 304;

const NOTHING: Chunk<number> = { text: '', count: 0, looked: 0, last: null };

function rangeChunk(text: unknown, count: unknown, looked: unknown, last: unknown): Chunk<number> {
  const lastKey = last === null || last === undefined ? null : Number(last);
  return { text: textOf(text), count: Number(count), looked: Number(looked), last: lastKey };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Behind every (key, cat) there can be when nothing has been read yet. */
function cursorValues(after: CopyCursor | null): [number | string, number] {
  return after === null ? ['-9223372036854775808', 0] : [after.key, after.cat];
}

function ignored(): void {
  // reported by the statement
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw asStoreFailure(thrown);
  }
}
