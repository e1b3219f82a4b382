/**
 * Rows checked against the schema of `/init` by a compiled validator, and turned into the JSON text that travels.
 *
 * Ajv compiles the schema once: which columns a row must have is its business, and a keyword of ours checks each value and
 * puts the value's JSON text in its place. What is left is to join the texts. No later hop parses a row again.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { ShardlineError } from '#common/contracts/errors';
import type { Dtype, TableSchema } from '#common/contracts/schema';
import { describe, isObject, quote } from '../core/body-fields';
import { columnText, keyText } from '../core/column-text';
import type { KeyedRows } from '../core/record-requests';

/** The keyword's argument: a column's type, or that it is the key. */
type ColumnKind = Dtype | 'Key';
type RowOfTexts = Record<string, string>;

/** Ajv calls it with the value's place, so that it can put the text there. */
interface ColumnKeyword {
  (value: unknown, place?: { parentData: unknown; parentDataProperty: string | number }): boolean;
  errors?: Partial<ErrorObject>[];
}

/** Checks the rows of one table; compiled once for a configuration. */
export class RowChecker {
  /** The name of the key's column. */
  readonly key: string;
  private readonly validate: ValidateFunction;
  private readonly columns: readonly string[];
  /** `,"Stud_name":` and so on, ready to be put before the column's text. */
  private readonly prefixes: readonly string[];

  constructor(schema: TableSchema) {
    this.columns = schema.columns;
    this.key = schema.columns[0] ?? '';
    this.prefixes = schema.columns.map((column, index) => `${index === 0 ? '{' : ','}${JSON.stringify(column)}:`);
    this.validate = compile(schema);
  }

  /**
   * Checks a list of rows and takes it over: the rows are changed in place and of no further use to the caller.
   *
   * @throws ShardlineError BAD_REQUEST that names the row, the column and what is wrong
   */
  check(rows: unknown[], what = 'data'): KeyedRows {
    if (!this.validate(rows)) throw this.fault(this.validate.errors?.[0], rows, (row) => `${what}[${row}]`);
    return this.texts(rows as RowOfTexts[]);
  }

  /** The same for one row. @throws ShardlineError BAD_REQUEST */
  checkOne(row: unknown, what = 'data'): { key: number; row: string } {
    const rows = [row];
    if (!this.validate(rows)) throw this.fault(this.validate.errors?.[0], rows, () => what);
    const { keys, rows: texts } = this.texts(rows as RowOfTexts[]);
    return { key: keys[0] ?? 0, row: texts[0] ?? '' };
  }

  private texts(rows: readonly RowOfTexts[]): KeyedRows {
    return { keys: rows.map((row) => Number(row[this.key])), rows: rows.map((row) => this.rowText(row)) };
  }

  private rowText(row: RowOfTexts): string {
    let text = '';
    for (let index = 0; index < this.columns.length; index += 1) {
      text += `${this.prefixes[index] ?? ''}${row[this.columns[index] ?? ''] ?? ''}`;
    }
    return `${text}}`;
  }

  private fault(
    error: ErrorObject | undefined,
    rows: readonly unknown[],
    rowName: (row: string) => string,
  ): ShardlineError {
    const [, row = '0', column = ''] = (error?.instancePath ?? '').split('/');
    return new ShardlineError('BAD_REQUEST', `${rowName(row)} ${this.reason(error, rows[Number(row)], column)}`);
  }

  private reason(error: ErrorObject | undefined, row: unknown, column: string): string {
    if (!isObject(row)) return `must be an object with the columns ${this.columns.join(', ')}, not ${describe(row)}`;
    const params = error?.params as Record<string, unknown> | undefined;
    if (error?.keyword === 'required') {
      return `lacks the column ${String(params?.missingProperty)}: a row has ${this.columns.join(', ')}`;
    }
    if (error?.keyword === 'additionalProperties') {
      const name = String(params?.additionalProperty);
      return `has the column ${quote(name)}, which the table has not: a row has ${this.columns.join(', ')}`;
    }
    return `column ${column}: ${error?.message ?? 'is wrong'}`;
  }
}

function compile({ columns, dtypes }: TableSchema): ValidateFunction {
  const ajv = new Ajv({ ownProperties: true, strict: true });
  ajv.addKeyword({
    keyword: 'columnKind',
    schemaType: 'string',
    modifying: true,
    errors: true,
    compile: columnKeyword,
  });
  const kinds = columns.map((column, index): [string, { columnKind: ColumnKind }] => [
    column,
    { columnKind: index === 0 ? 'Key' : (dtypes[index] ?? 'String') },
  ]);
  return ajv.compile({
    type: 'array',
    items: {
      type: 'object',
      required: [...columns],
      additionalProperties: false,
      properties: Object.fromEntries(kinds),
    },
  });
}

function columnKeyword(kind: ColumnKind): ColumnKeyword {
  const textOf = kind === 'Key' ? keyText : (value: unknown) => columnText(kind, value);
  const keyword: ColumnKeyword = (value, place) => {
    const text = textOf(value);
    if (text.fault !== undefined) {
      keyword.errors = [{ keyword: 'columnKind', message: text.fault, params: {} }];
      return false;
    }
    if (place !== undefined)
      (place.parentData as Record<string | number, string>)[place.parentDataProperty] = text.text;
    return true;
  };
  return keyword;
}
