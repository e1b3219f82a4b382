/**
 * Rows checked against the schema of `/init` and turned into the JSON text that travels. No later hop parses a row again.
 *
 * Plain loops over the columns: a validator that is compiled for the table is no faster, and for a table of 1,000 columns the
 * compiler would keep every other client waiting for seconds.
 */
import type { TableSchema } from '#common/contracts/schema';
import { badRequest, describe, isObject, quote } from '../core/body-fields';
import { columnText, keyText, type ColumnText } from '../core/column-text';
import type { KeyedRows } from '../core/record-requests';

/** So many columns are named in a message, which must not grow with the table. */
const COLUMNS_NAMED = 20;

interface Column {
  name: string;
  /** `,"Stud_name":` and so on, ready to be put before the column's text. */
  prefix: string;
  textOf: (value: unknown) => ColumnText;
}

/** Checks the rows of one table. */
export class RowChecker {
  /** The name of the key's column. */
  readonly key: string;
  private readonly columns: readonly Column[];
  private readonly names: ReadonlySet<string>;

  constructor({ columns, dtypes }: TableSchema) {
    this.key = columns[0] ?? '';
    this.names = new Set(columns);
    this.columns = columns.map((name, index) => {
      const dtype = dtypes[index] ?? 'String';
      const prefix = `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`;
      return { name, prefix, textOf: index === 0 ? keyText : (value) => columnText(dtype, value) };
    });
  }

  /**
   * Checks a list of rows and takes it over: numbers in JSON columns are changed in place, so it is of no further use to the caller.
   *
   * @throws ShardlineError BAD_REQUEST that names the row, the column and what is wrong
   */
  check(rows: readonly unknown[], what = 'data'): KeyedRows {
    const checked: KeyedRows = { keys: [], rows: [] };
    for (const [index, row] of rows.entries()) {
      const { key, row: text } = this.checkOne(row, () => `${what}[${index}]`);
      checked.keys.push(key);
      checked.rows.push(text);
    }
    return checked;
  }

  /** The same for one row. @throws ShardlineError BAD_REQUEST */
  checkOne(row: unknown, what = (): string => 'data'): { key: number; row: string } {
    if (!isObject(row)) {
      throw badRequest(`${what()} must be an object with the columns ${this.list()}, not ${describe(row)}`);
    }
    this.checkNames(row, what);
    let key = '';
    let text = '';
    for (const { name, prefix, textOf } of this.columns) {
      const value = textOf(row[name]);
      if (value.fault !== undefined) throw badRequest(`${what()} column ${name}: ${value.fault}`);
      if (text === '') key = value.text;
      text += prefix + value.text;
    }
    return { key: Number(key), row: `${text}}` };
  }

  private checkNames(row: Record<string, unknown>, what: () => string): void {
    for (const { name } of this.columns) {
      if (!Object.hasOwn(row, name)) {
        throw badRequest(`${what()} lacks the column ${name}: a row has ${this.list()}`);
      }
    }
    // All of them are there: whatever else the row has is one too many.
    const names = Object.keys(row);
    if (names.length === this.columns.length) return;
    const extra = names.find((name) => !this.names.has(name)) ?? '';
    throw badRequest(
      `${what()} has the column ${quote(extra)}, which the table does not have: a row has ${this.list()}`,
    );
  }

  /** The columns in a message. */
  private list(): string {
    const more = this.columns.length - COLUMNS_NAMED;
    const named = this.columns.slice(0, COLUMNS_NAMED).map(({ name }) => name);
    return named.join(', ') + (more > 0 ? ` and ${more} more, see GET /status` : '');
  }
}
