/**
 * Record operations from the bytes of a body to the text of the answer.
 *
 * A request may be checked and sent again, against a configuration that is newer: it stays the same operation.
 */
import type { OnConflict, RangeRead } from '#common/contracts/commands';
import type { Operation } from '../../bus/operations';
import type { RecordBus } from '../../bus/batching/record-bus';
import type { TableCache } from '../../bus/table-cache';
import { deleteAnswer, READ_ANSWER, updateAnswer, writeAnswer } from '../../core/answers';
import { badRequest } from '../../core/body-fields';
import {
  conflictPolicyOf,
  deletedKeyOf,
  keyRangeOf,
  updateOf,
  withoutRepeats,
  writtenRowsOf,
  type Query,
} from '../../core/record-requests';
import { asAbsent } from './absent-key';
import { bodySource } from '../request-body';

/** A read's whole answer, or where to get the rows. */
export type ReadResult = { text: string; plan?: undefined } | RangeRead;

export class RecordRequests {
  constructor(
    private readonly tables: TableCache,
    private readonly bus: RecordBus,
    private readonly defaultConflictPolicy: OnConflict,
  ) {}

  /** @throws ShardlineError */
  async write(operation: Operation, bytes: Buffer | undefined, query: Query): Promise<string> {
    const onConflict = conflictPolicyOf(query, this.defaultConflictPolicy);
    const body = bodySource(bytes);
    return this.tables.withTable(async ({ configId, rows }) => {
      const checked = withoutRepeats(rows.check(writtenRowsOf(body())), onConflict, rows.key);
      return writeAnswer(
        checked.keys.length === 0 ? 0 : await this.bus.write(operation, configId, onConflict, checked),
      );
    });
  }

  /** @throws ShardlineError */
  async update(operation: Operation, bytes: Buffer | undefined): Promise<string> {
    const body = bodySource(bytes);
    return this.tables.withTable(async ({ configId, rows }) => {
      const { key, row } = updateOf(body(), rows.key);
      const checked = rows.checkOne(row);
      if (checked.key !== key) {
        throw badRequest(`data has the ${rows.key} ${checked.key}, not ${key}: an update cannot change the key`);
      }
      await this.bus.update(operation, configId, key, checked.row).catch(asAbsent(operation, rows.key, key));
      return updateAnswer(rows.key, key);
    });
  }

  /** @throws ShardlineError */
  async delete(operation: Operation, bytes: Buffer | undefined): Promise<string> {
    const body = bodySource(bytes);
    return this.tables.withTable(async ({ configId, rows }) => {
      const key = deletedKeyOf(body(), rows.key);
      await this.bus.delete(operation, configId, key).catch(asAbsent(operation, rows.key, key));
      return deleteAnswer(rows.key, key);
    });
  }

  /** @throws ShardlineError */
  async read(bytes: Buffer | undefined, query: Query): Promise<ReadResult> {
    const body = bodySource(bytes);
    return this.tables.withTable(async ({ configId, rows: { key } }) => {
      const { low, high } = keyRangeOf(body(), query, key);
      const { result, rows } = await this.bus.read(configId, low, high);
      if ('plan' in result) return result;
      return { text: `${READ_ANSWER.head(result.shards)}${rows.join(READ_ANSWER.separator)}${READ_ANSWER.tail}` };
    });
  }
}
