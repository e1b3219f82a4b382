/** The versions of a replica in memory: for tests, and for simulations of whole clusters. */
import { ShardlineError } from '#common/contracts/errors';
import type { BucketMark, CopyCursor, DigestPart, DigestRange, DigestReply, OpRecord } from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';
import { ALIVE, isPurgeable, isVisible, undoAbove } from '#common/protocol/visibility';
import { partAt, partWidth, sumOf } from '../../core/digest-parts';
import { blankIdentity, type NodeIdentity, type ReplicaState, type ShardState } from '../../core/replica-state';
import { recordBytes, recordText } from '../../core/op-records';
import type { Known, PartWrite } from '../../core/round-plan';
import type {
  DigestPage,
  DigestPageRange,
  FoundRecord,
  PartQuestion,
  RecordPage,
  RecordRange,
  RowPage,
  RowRange,
  RowsText,
  VersionPage,
  VersionRange,
  VersionStore,
  WriteTransaction,
} from '../../ports/version-store';
import {
  compare,
  fill,
  hash64,
  idOf,
  isTouched,
  living,
  NO_TABLE,
  parseVersion,
  put,
  sumOfHashes,
  versionText,
  type Version,
  type Versions,
} from './memory-versions';

/** The versions of stored tables in the order of keys. */
const inOrder = new WeakMap<Versions, readonly Version[]>();

interface Contents {
  identity: NodeIdentity;
  states: Map<string, ShardState>;
  tables: Map<string, Versions>;
  /** Outcomes by shard, in the order of their terms. Lists are never changed, only replaced. */
  records: Map<string, readonly OpRecord[]>;
  /** Shards that have an empty table of a configuration to come. */
  prepared: ReadonlySet<string>;
}

export class MemoryVersionStore implements VersionStore {
  /** The newest commit need not outlive the process. */
  newestMayBeLost = false;
  private contents: Contents;

  constructor(server: string) {
    this.contents = {
      identity: blankIdentity(server),
      states: new Map(),
      tables: new Map(),
      records: new Map(),
      prepared: new Set(),
    };
  }

  /** Everything that is stored; nothing changes it. */
  snapshot(): object {
    return this.contents;
  }

  /** Goes back to a snapshot of this store, as a disk does that loses its newest writes. */
  restore(snapshot: object): void {
    this.contents = snapshot as Contents;
  }

  async load(): Promise<ReplicaState> {
    return { ...this.contents.identity, shards: new Map(this.contents.states) };
  }

  async transact<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    const { identity, states, tables, records, prepared } = this.contents;
    const draft: Contents = {
      identity,
      states: new Map(states),
      tables: new Map(tables),
      records: new Map(records),
      prepared,
    };
    const transaction = new MemoryTransaction(draft);
    const result = await work(transaction);
    this.contents = draft;
    this.newestMayBeLost = transaction.isLazy;
    return result;
  }

  async readRange({ shard, vat, low, high }: RowRange, maxBytes: number): Promise<RowPage> {
    const rows = this.sorted(shard).filter((v) => isVisible(v, vat) && v.key >= low && v.key <= high);
    const page = fill(rows, (version) => version.row, maxBytes);
    const following = rows[page.count];
    return { ...page, next: following === undefined ? null : following.key };
  }

  async readKeys(shard: string, vat: number, keys: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const wanted = new Set(keys);
    const rows = this.sorted(shard).filter((version) => wanted.has(version.key) && isVisible(version, vat));
    return new Map(rows.map((version) => [version.key, version.row]));
  }

  async copyPage({ shard, from, to }: VersionRange, after: CopyCursor | null, maxBytes: number): Promise<VersionPage> {
    const found = this.sorted(shard)
      .filter((version) => version.cat <= to && (from === 0 ? version.dat > to : isTouched(version, from, to)))
      .filter((version) => after === null || compare(version, after) > 0);
    const page = fill(found, (version) => versionText(version, to), maxBytes);
    const last = found[page.count - 1];
    const next = page.count < found.length && last !== undefined ? { key: last.key, cat: last.cat } : null;
    const largestRowBytes = found.reduce((most, { row }) => Math.max(most, Buffer.byteLength(row)), 0);
    return { ...page, largestRowBytes, next };
  }

  async recordPage(range: RecordRange, maxBytes: number): Promise<RecordPage> {
    const found = recordsWithin(this.contents, range);
    let bytes = 0;
    const fitting = found.findIndex((record) => (bytes += recordBytes(record)) > maxBytes);
    const records = fitting === -1 ? found : found.slice(0, Math.max(1, fitting));
    return { records, next: records.length < found.length ? (records[records.length - 1]?.term ?? null) : null };
  }

  async findRecords(id: string, ranges: readonly RecordRange[]): Promise<FoundRecord[]> {
    return ranges.flatMap((range) =>
      recordsWithin(this.contents, range)
        .filter((record) => record.id === id)
        .map(({ term, outcome }) => ({ shard: range.shard, term, outcome })),
    );
  }

  async digestRecords(range: RecordRange): Promise<string> {
    const sum = recordsWithin(this.contents, range).reduce((total, record) => total + hash64(recordText(record)), 0n);
    return String(sum);
  }

  async digestPage({ shard, vat, after }: DigestPageRange, maxKeys: number): Promise<DigestPage> {
    const left = this.sorted(shard).filter((version) => isVisible(version, vat) && version.key > (after ?? -Infinity));
    const keys = [...new Set(left.map(({ key }) => key))];
    const last = keys.length > maxKeys ? (keys[maxKeys - 1] ?? null) : null;
    const page = last === null ? left : left.filter(({ key }) => key <= last);
    return { digest: sumOfHashes(page), rows: page.length, next: last };
  }

  async digestWithin(shard: string, vat: number, within: DigestRange): Promise<DigestReply> {
    const visible = this.sorted(shard).filter((version) => isVisible(version, vat));
    const byPart = new Map<number, Version[]>();
    for (const version of visible) {
      if (version.key < within.low || version.key > within.high) continue;
      const index = Number((BigInt(version.key) - BigInt(within.low)) / BigInt(partWidth(within)));
      byPart.set(index, [...(byPart.get(index) ?? []), version]);
    }
    const parts = [...byPart].map(([index, own]): DigestPart => {
      return { ...partAt(within, index), digest: sumOfHashes(own), rows: own.length };
    });
    const sum = sumOf(parts);
    if (sum.rows > within.parts) return { ...sum, next: null, parts };
    const versions = [...byPart.values()]
      .flat()
      .map((one) => ({ key: one.key, cat: one.cat, digest: sumOfHashes([one]) }));
    return { ...sum, next: null, parts, versions };
  }

  async sweep(): Promise<void> {
    // Nothing is left behind.
  }

  async probe(): Promise<void> {
    // Memory always answers.
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  private sorted(shard: string): readonly Version[] {
    const table = tableOf(this.contents, shard);
    let versions = inOrder.get(table);
    if (versions === undefined) inOrder.set(table, (versions = [...table.values()].sort(compare)));
    return versions;
  }
}

class MemoryTransaction implements WriteTransaction {
  /** The tables of this transaction's own, which it may change. */
  private readonly own = new Map<string, Map<string, Version>>();
  isLazy = false;

  constructor(private readonly draft: Contents) {}

  async lookUp({ shard, vat, keys, forgottenUpTo, ids }: PartQuestion): Promise<Known> {
    const asked = new Set(ids);
    const stored = asked.size === 0 ? [] : recordsWithin(this.draft, { shard, after: forgottenUpTo, upTo: vat });
    const ops = new Map(stored.filter(({ id }) => asked.has(id)).map((record) => [record.id, record]));
    return { living: this.livingKeys(shard, vat, keys), ops };
  }

  private livingKeys(shard: string, vat: number, keys: readonly number[]): ReadonlySet<number> {
    const wanted = new Set(keys);
    const living = new Set<number>();
    for (const version of tableOf(this.draft, shard).values()) {
      if (wanted.has(version.key) && isVisible(version, vat)) living.add(version.key);
    }
    return living;
  }

  async undoAbove(shard: string, vat: number): Promise<number> {
    const table = this.ownTable(shard);
    const before = living(table);
    for (const [id, version] of [...table]) {
      const stays = undoAbove(version, vat);
      if (stays === null) table.delete(id);
      else table.set(id, stays);
    }
    this.setRecords(
      shard,
      this.recordsOf(shard).filter(({ term }) => term <= vat),
    );
    return living(table) - before;
  }

  write({ state, births, deaths, records }: PartWrite): void {
    if (births.length + deaths.length > 0) this.change(this.ownTable(state.shard), births, deaths);
    if (records.length > 0) this.setRecords(state.shard, [...this.recordsOf(state.shard), ...records]);
    this.saveShard(state);
  }

  private change(table: Map<string, Version>, births: PartWrite['births'], deaths: PartWrite['deaths']): void {
    for (const { key, dat } of deaths) {
      const version = [...table.values()].find((one) => one.key === key && one.dat === ALIVE);
      if (version === undefined) throw new ShardlineError('STORE_FAILED', `record ${key} does not live`);
      put(table, { ...version, dat });
    }
    for (const { key, cat, row } of births) put(table, { key, cat, dat: ALIVE, row });
  }

  saveShard(state: ShardState): void {
    this.draft.states.set(state.shard, state);
  }

  saveIdentity({ server, epoch, epochBy, configId, schema, cluster, mark, prepared }: NodeIdentity): void {
    this.draft.identity = { server, epoch, epochBy, configId, schema, cluster, mark, prepared };
  }

  saveMark(mark: BucketMark): void {
    this.draft.identity = { ...this.draft.identity, mark };
  }

  async createShard(state: ShardState, _schema: TableSchema): Promise<void> {
    this.replaceTable(state.shard);
    this.saveShard(state);
  }

  dropShard(shard: string): void {
    this.own.delete(shard);
    this.draft.tables.delete(shard);
    this.draft.records.delete(shard);
    this.draft.states.delete(shard);
  }

  async prepareTables(shards: readonly string[], _schema: TableSchema): Promise<void> {
    this.draft.prepared = new Set([...this.draft.prepared, ...shards]);
  }

  discardPrepared(): void {
    this.draft.prepared = new Set();
  }

  activatePrepared(shards: readonly ShardState[], _schema: TableSchema): void {
    const { states, tables, records, prepared } = this.draft;
    for (const kept of [states, tables, records, this.own]) kept.clear();
    for (const state of shards) {
      if (!prepared.has(state.shard))
        throw new ShardlineError('STORE_FAILED', `no table of ${state.shard} is prepared`);
      this.replaceTable(state.shard);
      this.saveShard(state);
    }
    this.discardPrepared();
  }

  clearShard(shard: string): void {
    tableOf(this.draft, shard);
    this.replaceTable(shard);
    this.draft.records.delete(shard);
  }

  async setShardAside(shard: string, _schema: TableSchema): Promise<void> {
    // Nobody can look at what is kept in memory.
    this.clearShard(shard);
  }

  async putVersions(shard: string, { text }: RowsText, isSnapshot: boolean): Promise<number> {
    const table = this.ownTable(shard);
    const keyColumn = this.draft.identity.schema?.columns[0] ?? '';
    let change = 0;
    for (const line of text === '' ? [] : text.split(',\n')) {
      const version = parseVersion(line, keyColumn);
      const before = table.get(idOf(version));
      if (isSnapshot && before !== undefined)
        throw new ShardlineError('STORE_FAILED', `${idOf(version)} is there already`);
      change += (version.dat === ALIVE ? 1 : 0) - (before?.dat === ALIVE ? 1 : 0);
      put(table, version);
    }
    return change;
  }

  mayBeLost(): void {
    this.isLazy = true;
  }

  putRecords(shard: string, records: readonly OpRecord[]): void {
    const before = this.recordsOf(shard);
    const terms = new Set(before.map(({ term }) => term));
    const added = records.filter(({ term }) => !terms.has(term));
    this.setRecords(
      shard,
      [...before, ...added].sort((a, b) => a.term - b.term),
    );
  }

  async countLiving(shard: string): Promise<number> {
    return living(tableOf(this.draft, shard));
  }

  async purge(shard: string, mark: number, limit: number): Promise<number> {
    const dead = [...tableOf(this.draft, shard)].filter(([, version]) => isPurgeable(version, mark)).slice(0, limit);
    if (dead.length === 0) return 0;
    const table = this.ownTable(shard);
    for (const [id] of dead) table.delete(id);
    return dead.length;
  }

  async forget(shard: string, forgottenUpTo: number, limit: number): Promise<number> {
    const records = this.recordsOf(shard);
    const kept = records.findIndex(({ term }) => term > forgottenUpTo);
    const gone = Math.min(limit, kept === -1 ? records.length : kept);
    this.setRecords(shard, records.slice(gone));
    return gone;
  }

  /** The shard's table, to be changed: a copy of what is stored. */
  private ownTable(shard: string): Map<string, Version> {
    return this.own.get(shard) ?? this.replaceTable(shard, tableOf(this.draft, shard));
  }

  private replaceTable(shard: string, content: Versions = NO_TABLE): Map<string, Version> {
    const table = new Map(content);
    this.own.set(shard, table);
    this.draft.tables.set(shard, table);
    return table;
  }

  private recordsOf(shard: string): readonly OpRecord[] {
    return this.draft.records.get(shard) ?? [];
  }

  private setRecords(shard: string, records: readonly OpRecord[]): void {
    this.draft.records.set(shard, records);
  }
}

function tableOf(contents: Contents, shard: string): Versions {
  const table = contents.tables.get(shard);
  if (table === undefined) throw new ShardlineError('UNKNOWN_SHARD', `this replica does not hold shard ${shard}`);
  return table;
}

/** The outcomes under terms in `(after, upTo]`. */
function recordsWithin(contents: Contents, { shard, after, upTo }: RecordRange): OpRecord[] {
  return (contents.records.get(shard) ?? []).filter(({ term }) => term > after && term <= upTo);
}
