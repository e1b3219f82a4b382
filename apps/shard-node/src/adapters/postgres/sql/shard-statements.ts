/**
 * The SQL of one shard's table. Every name is quoted; nothing but names that were checked against `IDENTIFIER` becomes SQL
 * text. Rows go in and come out as JSON text that this process never parses.
 *
 * A column may be called as a statement calls something of its own: an order is always that of the table's column
 * (`version."k"`), since by itself a name would mean what the statement puts out under it.
 */
import type { CopyCursor } from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';
import { ALIVE_TEXT } from '#common/protocol/visibility';
import type { VersionRange } from '../../../ports/version-store';
import { ASIDE_SCHEMA, shardColumns, SHARDS_SCHEMA, type ShardColumn } from '../entities/shard-entity';

/** A statement that Postgres prepares once per connection, under its name. */
export interface Statement {
  name: string;
  text: string;
}

let lastStatement = 0;

/** Names are never used twice in a process: a table that is dropped and recreated gets statements of its own. */
export function prepared(text: string): Statement {
  lastStatement += 1;
  return { name: `s${lastStatement}`, text };
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

const SMALLEST_BIGINT = "'-9223372036854775808'::bigint";

function bigint(value: number): string {
  return `'${BigInt(value)}'::bigint`;
}

function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** The row as JSON text. Written out column by column, which is faster than `row_to_json`. */
function rowAsJson(columns: readonly ShardColumn[]): string {
  const members = columns.map(({ name }, index) => quoteText(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`));
  return (
    columns.map((column, index) => `${members[index] ?? ''} || ${valueAsJson(column, index)}`).join(' || ') + ` || '}'`
  );
}

function valueAsJson({ name, dtype }: ShardColumn, index: number): string {
  const value = quoteName(name);
  if (index === 0) return value;
  switch (dtype) {
    case 'Number':
    case 'Boolean':
      return `${value}::text`;
    case 'String':
      return `to_json(${value})::text`;
    case 'Timestamp':
      // Sessions run in UTC.
      return `replace(to_json(${value})::text, '+00:00"', 'Z"')`;
    case 'JSON':
      return `coalesce(${value}::text, 'null')`;
  }
}

/** Columns that a round changes in `term_t`, in the order of their parameters `$3…`. */
const ROUND_COLUMNS = [
  'current_term',
  'committed_vat',
  'newest_epoch',
  'newest_round',
  'newest_last_terms',
  'newest_refused',
  'live_rows',
  'max_row_bytes',
  'forgotten_up_to',
] as const;

/** What a round writes besides the shard's state. */
export interface RoundKind {
  births: boolean;
  deaths: boolean;
  records: boolean;
}

/** No key is larger. */
const MAX_KEY = '9223372036854775807';

export class ShardStatements {
  readonly table: string;
  private readonly columns: readonly [ShardColumn, ...ShardColumn[]];
  private readonly key: string;
  private readonly json: string;
  private readonly rounds = new Map<string, Statement>();

  /** Keys `$1` with a version that is visible at `$2`. */
  readonly livingKeys: Statement;
  /** Births above `$1` go; answers how many of them lived. */
  readonly undoBirths: Statement;
  /** Deaths above `$1` are taken back; answers how many. */
  readonly undoDeaths: Statement;
  /** Rows of the keys `$1` at VAT `$2`: key, row. */
  readonly points: Statement;
  /** Up to `$4` rows from `$1` to `$2` at VAT `$3`: text, count, last key. */
  readonly range: Statement;
  /** The same, cut where the rows exceed `$5` bytes (the first row comes when `$6`): also how many rows were looked at. */
  readonly cutRange: Statement;
  /** Of up to `$3` versions visible at `$4` behind (`$1`, `$2`): how many fit into `$5` bytes; the first always does. */
  readonly fittingSnapshot: Statement;
  /** Of versions that were born or died in `(from $6, to $4]`, otherwise as `fittingSnapshot`. */
  readonly fittingDifference: Statement;
  /** Rows that `copyPage` returned, behind what is there. */
  readonly copyIn: string;
  /** The same into a table of the session alone, which is empty before and after every transaction. */
  readonly createStage: string;
  readonly copyIntoStage: string;
  /** From there to where they belong; answers by how many the living versions changed. */
  readonly putStaged: Statement;
  /**
   * Count, and the sum of 64-bit hashes, of what is visible at `$1` of the first `$3` keys behind `$2`; the last of these keys, or
   * null when they are all that there are.
   */
  readonly digestPage: Statement;
  /** Count and sum of the keys from `$2` to `$3` in parts of `$4` keys: index of the part, count, sum; parts without rows are left out. */
  readonly digestParts: Statement;
  /** Key, cat and hash of what is visible at `$1` of the keys from `$2` to `$3`. */
  readonly digestVersions: Statement;
  readonly countLiving: Statement;
  /** Up to `$2` versions that died at or before `$1` go. */
  readonly purge: Statement;
  readonly clear: string;
  readonly drop: string;
  readonly dropAside: string;
  /** Moves the table out of the way, in place of the one that was moved before; it must then be recreated. */
  readonly setAside: readonly string[];

  constructor(shard: string, schema: TableSchema) {
    this.columns = shardColumns(schema);
    this.table = `${quoteName(SHARDS_SCHEMA)}.${quoteName(shard)}`;
    this.key = quoteName(this.columns[0].name);
    this.json = rowAsJson(this.columns);
    const { table, key, json } = this;
    const dead = `dat < ${ALIVE_TEXT}`;

    this.livingKeys = prepared(
      `SELECT ${key} FROM ${table} WHERE ${key} = ANY($1::bigint[]) AND cat <= $2 AND dat > $2`,
    );
    this.undoBirths = prepared(`
      WITH gone AS (DELETE FROM ${table} WHERE cat > $1 RETURNING dat)
      SELECT count(*) FROM gone WHERE dat = ${ALIVE_TEXT}`);
    this.undoDeaths = prepared(`
      WITH risen AS (UPDATE ${table} SET dat = ${ALIVE_TEXT} WHERE dat > $1 AND ${dead} RETURNING 1)
      SELECT count(*) FROM risen`);
    this.points = prepared(
      `SELECT ${key}, ${json} FROM ${table} WHERE ${key} = ANY($1::bigint[]) AND cat <= $2 AND dat > $2`,
    );
    const visible = `
      SELECT ${key} AS k, ${json} AS j FROM ${table} AS version
      WHERE ${key} BETWEEN $1 AND $2 AND cat <= $3 AND dat > $3 ORDER BY version.${key} LIMIT $4`;
    this.range = prepared(`SELECT string_agg(j, E',\\n' ORDER BY k), count(*), max(k) FROM (${visible}) AS page`);
    this.cutRange = prepared(`
      SELECT string_agg(j, E',\\n' ORDER BY k) FILTER (WHERE fits), count(*) FILTER (WHERE fits),
        max(k) FILTER (WHERE fits), count(*)
      FROM (SELECT k, j, ${fits('k', '$5', '$6')} AS fits FROM (${visible}) AS rows) AS page`);
    this.fittingSnapshot = prepared(this.fitting('dat > $4'));
    this.fittingDifference = prepared(this.fitting('(cat > $6 OR (dat > $6 AND dat <= $4))'));
    const stage = `pg_temp.${quoteName(`stage ${(lastStatement += 1)}`)}`;
    const stored = `(${key}, cat, dat${this.otherNames()})`;
    this.copyIn = `COPY ${table} ${stored} FROM STDIN`;
    this.createStage = `CREATE TEMP TABLE IF NOT EXISTS ${stage.slice('pg_temp.'.length)} (LIKE ${table}) ON COMMIT DELETE ROWS`;
    this.copyIntoStage = `COPY ${stage} ${stored} FROM STDIN`;
    this.putStaged = prepared(`
      WITH before AS (
        SELECT count(*) AS living FROM ${stage} AS staged JOIN ${table} AS version USING (${key}, cat)
        WHERE version.dat = ${ALIVE_TEXT}
      ), put AS (
        INSERT INTO ${table} (${this.names()}, cat, dat) SELECT ${this.names()}, cat, dat FROM ${stage}
        ON CONFLICT (${key}, cat) DO UPDATE SET dat = excluded.dat
      )
      SELECT (SELECT count(*) FROM ${stage} WHERE dat = ${ALIVE_TEXT}) - living FROM before`);
    const hash = `('x' || left(md5(${key} || ' ' || cat || ' ' || ${json}), 16))::bit(64)::bigint`;
    const behind = `cat <= $1 AND dat > $1 AND ${key} > $2`;
    this.digestPage = prepared(`
      WITH following AS (
        SELECT DISTINCT ${key} AS key FROM ${table} WHERE ${behind} ORDER BY key LIMIT $3::bigint + 1),
      page AS (SELECT CASE WHEN count(*) > $3 THEN
        (SELECT key FROM following ORDER BY key LIMIT 1 OFFSET $3::bigint - 1) END AS last FROM following)
      SELECT count(*), coalesce(sum(${hash}), 0), (SELECT last FROM page) FROM ${table}
      WHERE ${behind} AND ${key} <= coalesce((SELECT last FROM page), ${MAX_KEY})`);
    const within = `cat <= $1 AND dat > $1 AND ${key} BETWEEN $2 AND $3`;
    this.digestParts = prepared(`
      SELECT (${key} - $2::bigint) / $4::bigint AS part, count(*), sum(${hash})
      FROM ${table} WHERE ${within} GROUP BY 1 ORDER BY 1`);
    this.digestVersions = prepared(
      `SELECT ${key}, cat, ${hash} FROM ${table} AS version WHERE ${within} ORDER BY version.${key}, version.cat`,
    );
    this.countLiving = prepared(`SELECT count(*) FROM ${table} WHERE dat = ${ALIVE_TEXT}`);
    this.purge = prepared(`
      WITH dead AS (SELECT ctid FROM ${table} WHERE dat <= $1 AND ${dead} LIMIT $2),
      gone AS (DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM dead) RETURNING 1)
      SELECT count(*) FROM gone`);
    this.clear = `TRUNCATE ${table}`;
    this.drop = `DROP TABLE IF EXISTS ${table}`;
    const aside = quoteName(ASIDE_SCHEMA);
    this.dropAside = `DROP TABLE IF EXISTS ${aside}.${quoteName(shard)}`;
    this.setAside = [
      `CREATE SCHEMA IF NOT EXISTS ${aside}`,
      this.dropAside,
      `ALTER TABLE ${table} SET SCHEMA ${aside}`,
    ];
  }

  /**
   * One round on the shard in one statement: births `$12…$14` (rows as a JSON array, keys, cats), deaths (keys, dats), outcomes
   * of ops (terms, ids, fingerprints, outcomes), and the shard's row of `term_t` from version `$2` on. It fails, and with it the transaction, when the row has another
   * version or when not every death took place; a birth without a key, a term or its row is refused by the table.
   */
  round(kind: RoundKind): Statement {
    const name = `${kind.births} ${kind.deaths} ${kind.records}`;
    let statement = this.rounds.get(name);
    if (statement === undefined) {
      statement = prepared(this.roundText(kind));
      this.rounds.set(name, statement);
    }
    return statement;
  }

  private roundText(kind: RoundKind): string {
    const sets = ROUND_COLUMNS.map((column, index) => `${column} = $${index + 3}`).join(', ');
    const parts = [
      `term AS (UPDATE term_t SET version = version + 1, ${sets} WHERE shard = $1 AND version = $2 RETURNING 1)`,
    ];
    const checks = ['(SELECT count(*) FROM term) = 1'];
    let next = ROUND_COLUMNS.length + 3;
    if (kind.births) {
      parts.push(`births AS (${this.birthsText(next)})`);
      next += 3;
    }
    if (kind.deaths) {
      parts.push(`deaths AS (
        UPDATE ${this.table} AS version SET dat = death.dat
        FROM term, unnest($${next}::bigint[], $${next + 1}::bigint[]) AS death(key, dat)
        WHERE version.${this.key} = death.key AND version.dat = ${ALIVE_TEXT} RETURNING 1)`);
      checks.push(`(SELECT count(*) FROM deaths) = cardinality($${next}::bigint[])`);
      next += 2;
    }
    if (kind.records) {
      const arrays = `$${next}::bigint[], $${next + 1}::text[], $${next + 2}::text[], $${next + 3}::text[]`;
      parts.push(`records AS (
        INSERT INTO op_t (shard, term, id, fingerprint, outcome)
        SELECT $1, op.term, op.id, op.fingerprint, op.outcome FROM term, unnest(${arrays}) AS op(term, id, fingerprint, outcome))`);
    }
    // A division by zero is the plainest way to fail from within a statement.
    return `WITH ${parts.join(', ')} SELECT 1 / (CASE WHEN ${checks.join(' AND ')} THEN 1 ELSE 0 END)`;
  }

  private birthsText(first: number): string {
    const rest = this.columns.slice(1);
    const names = rest.map(({ name }) => `birth.${quoteName(name)}`);
    const record = rest.map(({ name, type }) => `${quoteName(name)} ${type}`).join(', ');
    const rows = rest.length === 0 ? '' : `json_to_recordset($${first}::json) AS (${record}), `;
    const unread = rest.length === 0 ? ` WHERE $${first}::json IS NOT NULL` : '';
    const aliases = [...rest.map(({ name }) => quoteName(name)), '"birth key"', '"birth cat"'].join(', ');
    return `
      INSERT INTO ${this.table} (${this.names()}, cat, dat)
      SELECT ${['birth."birth key"', ...names, 'birth."birth cat"'].join(', ')}, ${ALIVE_TEXT} FROM term,
      ROWS FROM (${rows}unnest($${first + 1}::bigint[]), unnest($${first + 2}::bigint[])) AS birth(${aliases})${unread}`;
  }

  /** COPY of versions behind the cursor, in (key, cat) order: the key, `cat`, `dat`, and the other columns. */
  copyOut({ from, to }: VersionRange, after: CopyCursor | null, limit: number): string {
    const { key, table } = this;
    // COPY takes no parameters; these are numbers, whatever they were declared to be.
    const [afterKey, afterCat] = after === null ? [SMALLEST_BIGINT, '0'] : [bigint(after.key), bigint(after.cat)];
    const end = bigint(to);
    const touched =
      from === 0 ? `dat > ${end}` : `(cat > ${bigint(from)} OR (dat > ${bigint(from)} AND dat <= ${end}))`;
    return `COPY (
      SELECT ${key}, cat, CASE WHEN dat > ${end} THEN ${ALIVE_TEXT} ELSE dat END${this.otherNames()} FROM ${table} AS version
      WHERE (${key}, cat) > (${afterKey}, ${afterCat}) AND cat <= ${end} AND ${touched}
      ORDER BY version.${key}, version.cat LIMIT ${bigint(limit)}
    ) TO STDOUT`;
  }

  private fitting(touched: string): string {
    const { key, table, json } = this;
    return `
      SELECT count(*) FILTER (WHERE fits) FROM (SELECT ${fits('k, c', '$5', 'true')} AS fits FROM (
        SELECT ${key} AS k, cat AS c, ${json} AS j FROM ${table} AS version
        WHERE (${key}, cat) > ($1, $2) AND cat <= $4 AND ${touched} ORDER BY version.${key}, version.cat LIMIT $3
      ) AS versions) AS page`;
  }

  private otherNames(): string {
    return this.columns
      .slice(1)
      .map(({ name }) => `, ${quoteName(name)}`)
      .join('');
  }

  private names(): string {
    return this.columns.map(({ name }) => quoteName(name)).join(', ');
  }
}

/** Whether the rows up to this one, with two bytes between them, fit into `room`; or it is the first and that may come. */
function fits(order: string, room: string, firstMayCome: string): string {
  const upToHere = `sum(octet_length(j) + 2) OVER (ORDER BY ${order} ROWS UNBOUNDED PRECEDING)`;
  return `(${upToHere} <= ${room} OR (${firstMayCome} AND ${upToHere} = octet_length(j) + 2))`;
}
