/**
 * One transaction on the writer's connection, with as few round trips as it can do with.
 *
 * What returns nothing is kept until an answer is needed or until the commit, and then goes out in one go. When all there is to
 * commit is one statement, it commits by itself, without BEGIN and COMMIT around it.
 */
import type { PoolClient } from 'pg';
import { ShardlineError } from '#common/contracts/errors';
import type { BucketMark, OpRecord } from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';
import type { NodeIdentity, ShardState } from '../../core/replica-state';
import type { Known, PartWrite } from '../../core/round-plan';
import type { PartQuestion, RowsText, WriteTransaction } from '../../ports/version-store';
import { copyIn } from './sql/copy-statements';
import { activateStatements, discardStatements } from './sql/replaced-tables';
import { PREPARED_SCHEMA } from './entities/shard-entity';
import {
  CLEAR_ALL_OPS,
  CLEAR_OPS,
  FORGET_OPS,
  KNOWN_OPS,
  PUT_OPS,
  recordOf,
  recordValues,
  texts,
  UNDO_OPS,
} from './sql/op-statements';
import type { ShardStatements, Statement } from './sql/shard-statements';
import {
  DELETE_TERM,
  DELETE_TERMS,
  INSERT_TERM,
  nodeValues,
  roundValues,
  SAVE_MARK,
  SAVE_NODE,
  termValues,
  UPDATE_TERM,
} from './sql/term-statements';
import type { Cells } from './sql/writer-connection';

/** What the transaction needs of its store. */
export interface TransactionContext {
  statements(shard: string): ShardStatements;
  /** Statements for a table that is about to be created. */
  newStatements(shard: string, schema: TableSchema): ShardStatements;
  createTable(shard: string, schema: TableSchema, within?: string): Promise<string[]>;
  execute(client: PoolClient, statement: Statement, values: unknown[]): Promise<Cells[]>;
  /** The shards that there are. */
  held(): string[];
  /** The version of the shard's row of `term_t`. */
  version(shard: string): number;
}

/** What the store takes over when the transaction has become durable. */
export interface TransactionEffects {
  versions: Map<string, number>;
  created: Map<string, ShardStatements>;
  dropped: Set<string>;
  maxRowBytes: Map<string, number>;
  /** Many tables were put in the place of others, or will be made: what was prepared for those that there are is in the way. */
  outdatesStatements: boolean;
}

interface Pending {
  statement: Statement | string;
  values: unknown[];
  /** What a COPY takes in. */
  rows?: string;
}

export class PostgresTransaction implements WriteTransaction {
  readonly effects: TransactionEffects = {
    versions: new Map(),
    created: new Map(),
    dropped: new Set(),
    maxRowBytes: new Map(),
    outdatesStatements: false,
  };
  private pending: Pending[] = [];
  private begun = false;
  private isLosable = false;
  private hasIdentity = false;

  constructor(
    private readonly client: PoolClient,
    private readonly context: TransactionContext,
  ) {}

  async lookUp({ shard, vat, keys, forgottenUpTo, ids }: PartQuestion): Promise<Known> {
    const [living, ops] = await Promise.all([
      this.livingKeys(shard, vat, keys),
      ids.length === 0 ? [] : this.ask(KNOWN_OPS, [shard, texts(ids), forgottenUpTo, vat]),
    ]);
    return { living, ops: new Map(ops.map(recordOf).map((record) => [record.id, record])) };
  }

  private async livingKeys(shard: string, vat: number, keys: readonly number[]): Promise<ReadonlySet<number>> {
    if (keys.length === 0) return new Set();
    const rows = await this.ask(this.statements(shard).livingKeys, [bigints(keys), vat]);
    const living = new Set<number>();
    for (const row of rows) living.add(Number(row[0]));
    return living;
  }

  async undoAbove(shard: string, vat: number): Promise<number> {
    const statements = this.statements(shard);
    this.begin();
    const [born, died] = await Promise.all([
      this.ask(statements.undoBirths, [vat]),
      this.ask(statements.undoDeaths, [vat]),
      this.ask(UNDO_OPS, [shard, vat]),
    ]);
    return countOf(died) - countOf(born);
  }

  write({ state, births, deaths, records }: PartWrite): void {
    const values = roundValues(state, this.nextVersion(state));
    if (births.length > 0) {
      values.push(
        `[${births.map((birth) => birth.row).join(',')}]`,
        bigints(births.map((birth) => birth.key)),
        bigints(births.map((birth) => birth.cat)),
      );
    }
    if (deaths.length > 0) {
      values.push(bigints(deaths.map((death) => death.key)), bigints(deaths.map((death) => death.dat)));
    }
    if (records.length > 0) for (const value of recordValues(records)) values.push(value);
    const kind = { births: births.length > 0, deaths: deaths.length > 0, records: records.length > 0 };
    this.later(this.statements(state.shard).round(kind), values);
  }

  saveShard(state: ShardState): void {
    this.later(UPDATE_TERM, termValues(state, this.nextVersion(state)));
  }

  saveIdentity(identity: NodeIdentity): void {
    this.hasIdentity = true;
    this.later(SAVE_NODE, nodeValues(identity));
  }

  saveMark(mark: BucketMark): void {
    this.later(SAVE_MARK, [JSON.stringify(mark)]);
  }

  async createShard(state: ShardState, schema: TableSchema): Promise<void> {
    for (const text of await this.context.createTable(state.shard, schema)) this.later(text, []);
    this.later(INSERT_TERM, termValues(state, 0));
    this.effects.created.set(state.shard, this.context.newStatements(state.shard, schema));
    this.effects.versions.set(state.shard, 0);
    this.effects.dropped.delete(state.shard);
  }

  dropShard(shard: string): void {
    this.later(this.statements(shard).drop, []);
    this.later(this.statements(shard).dropAside, []);
    this.later(CLEAR_OPS, [shard]);
    this.later(DELETE_TERM, [shard]);
    this.effects.created.delete(shard);
    this.effects.versions.delete(shard);
    this.effects.maxRowBytes.delete(shard);
    this.effects.dropped.add(shard);
  }

  async prepareTables(shards: readonly string[], schema: TableSchema): Promise<void> {
    this.later(`CREATE SCHEMA IF NOT EXISTS ${PREPARED_SCHEMA}`, []);
    for (const shard of shards) {
      for (const text of await this.context.createTable(shard, schema, PREPARED_SCHEMA)) this.later(text, []);
    }
  }

  discardPrepared(): void {
    this.effects.outdatesStatements = true;
    for (const text of discardStatements()) this.later(text, []);
  }

  activatePrepared(shards: readonly ShardState[], schema: TableSchema): void {
    this.effects.outdatesStatements = true;
    for (const text of activateStatements()) this.later(text, []);
    this.later(DELETE_TERMS, []);
    this.later(CLEAR_ALL_OPS, []);
    for (const shard of this.context.held()) this.effects.dropped.add(shard);
    for (const state of shards) {
      this.later(INSERT_TERM, termValues(state, 0));
      this.effects.created.set(state.shard, this.context.newStatements(state.shard, schema));
      this.effects.versions.set(state.shard, 0);
    }
  }

  clearShard(shard: string): void {
    this.later(this.statements(shard).clear, []);
    this.later(CLEAR_OPS, [shard]);
  }

  async setShardAside(shard: string, schema: TableSchema): Promise<void> {
    for (const text of this.statements(shard).setAside) this.later(text, []);
    this.later(CLEAR_OPS, [shard]);
    for (const text of await this.context.createTable(shard, schema)) this.later(text, []);
  }

  async putVersions(shard: string, { count, text }: RowsText, isSnapshot: boolean): Promise<number> {
    if (count === 0) return 0;
    const { copyIn: intoTable, createStage, copyIntoStage, putStaged } = this.statements(shard);
    if (isSnapshot) {
      this.begin();
      this.copyLater(intoTable, text);
      return count;
    }
    this.begin();
    this.later(createStage, []);
    this.copyLater(copyIntoStage, text);
    return countOf(await this.ask(putStaged, []));
  }

  mayBeLost(): void {
    this.isLosable = true;
  }

  putRecords(shard: string, records: readonly OpRecord[]): void {
    if (records.length > 0) this.later(PUT_OPS, [shard, ...recordValues(records)]);
  }

  async countLiving(shard: string): Promise<number> {
    return countOf(await this.ask(this.statements(shard).countLiving, []));
  }

  async purge(shard: string, mark: number, limit: number): Promise<number> {
    this.begin();
    return countOf(await this.ask(this.statements(shard).purge, [mark, limit]));
  }

  async forget(shard: string, forgottenUpTo: number, limit: number): Promise<number> {
    return countOf(await this.ask(FORGET_OPS, [shard, forgottenUpTo, limit]));
  }

  async commit(): Promise<void> {
    // A fence that was acknowledged is never lost.
    if (this.isLosable && !this.hasIdentity && this.pending.length > 0) {
      this.begin();
      this.later('SET LOCAL synchronous_commit = off', []);
    }
    const single = this.pending[0];
    if (!this.begun && single === undefined) return;
    if (!this.begun && single !== undefined && this.pending.length === 1) {
      this.pending = [];
      await this.send(single);
      return;
    }
    this.begin();
    const sent = this.flush();
    const committed = this.client.query('COMMIT');
    await settleAll([...sent, committed]);
    // A transaction in which something failed ends with ROLLBACK whatever it is asked to do.
    if ((await committed).command !== 'COMMIT') throw new ShardlineError('STORE_FAILED', 'postgres did not commit');
  }

  async rollback(): Promise<void> {
    this.pending = [];
    if (this.begun) await this.client.query('ROLLBACK');
  }

  /** An answer now: everything that waits goes out first. */
  private async ask(statement: Statement, values: unknown[]): Promise<Cells[]> {
    const sent = this.pending.length > 0 ? (this.begin(), this.flush()) : [];
    const answer = this.send({ statement, values });
    await settleAll([...sent, answer]);
    return answer;
  }

  private later(statement: Statement | string, values: unknown[]): void {
    this.pending.push({ statement, values });
  }

  private begin(): void {
    if (this.begun) return;
    this.begun = true;
    this.pending.unshift({ statement: 'BEGIN', values: [] });
  }

  private flush(): Promise<Cells[]>[] {
    const sent = this.pending.map((one) => this.send(one));
    this.pending = [];
    return sent;
  }

  private copyLater(text: string, rows: string): void {
    this.pending.push({ statement: text, values: [], rows });
  }

  private async send({ statement, values, rows }: Pending): Promise<Cells[]> {
    if (typeof statement === 'string' && rows !== undefined) {
      await copyIn(this.client, statement, rows);
      return [];
    }
    if (typeof statement !== 'string') return this.context.execute(this.client, statement, values);
    await this.client.query(statement);
    return [];
  }

  private statements(shard: string): ShardStatements {
    return this.effects.created.get(shard) ?? this.context.statements(shard);
  }

  /** The version that the row of `term_t` must have; it has the next one afterwards. */
  private nextVersion({ shard, maxRowBytes }: ShardState): number {
    const version = this.effects.versions.get(shard) ?? this.context.version(shard);
    this.effects.versions.set(shard, version + 1);
    this.effects.maxRowBytes.set(shard, maxRowBytes);
    return version;
  }
}

/** Waits for all, so that nothing is left on the wire, then fails with the first failure. */
async function settleAll(sent: readonly Promise<unknown>[]): Promise<void> {
  const outcomes = await Promise.allSettled(sent);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Whole numbers as a Postgres array; cheaper than having `pg` look at each. */
export function bigints(numbers: readonly number[]): string {
  return `{${numbers.join(',')}}`;
}

function countOf(rows: readonly Cells[]): number {
  return Number(rows[0]?.[0] ?? 0);
}
