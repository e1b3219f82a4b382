/** Record operations, from the bytes of a gateway's message to what the core takes. */
import type { OperationName } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { readLines } from '#common/nats/codec';
import { COMMAND_MESSAGES } from '#common/nats/command-messages';
import type { Message } from '#common/nats/message';
import type { RecordCommand } from '../core/kernel/effects';

/** A command whose batch has no number yet. */
type NewCommand = RecordCommand extends infer C ? (C extends RecordCommand ? Omit<C, 'batch'> : never) : never;

export interface NewCommands {
  configId: number;
  commands: NewCommand[];
}

/** The operations of a message, with the lines that belong to each. @throws ShardlineError BAD_MESSAGE */
export const readCommands = {
  write: (data: Uint8Array): NewCommands =>
    translate(COMMAND_MESSAGES.write.request, data, ({ id, onConflict, keys, ...name }, nextRows) => {
      return { op: 'write', id, onConflict, keys, rows: nextRows(keys.length), ...named(name) };
    }),
  update: (data: Uint8Array): NewCommands =>
    translate(COMMAND_MESSAGES.update.request, data, ({ id, key, ...name }, nextRows) => {
      return { op: 'update', id, key, row: nextRows(1)[0] ?? '', ...named(name) };
    }),
  del: (data: Uint8Array): NewCommands =>
    translate(COMMAND_MESSAGES.del.request, data, ({ id, key, ...name }) => ({
      op: 'delete',
      id,
      key,
      ...named(name),
    })),
  read: (data: Uint8Array): NewCommands =>
    translate(COMMAND_MESSAGES.read.request, data, ({ id, low, high }) => ({ op: 'read', id, low, high })),
} as const;

function translate<Op>(
  message: Message<{ configId: number; ops: Op[] }>,
  data: Uint8Array,
  commandOf: (op: Op, nextRows: (count: number) => string[]) => NewCommand,
): NewCommands {
  const { header, rows } = readLines(message, data);
  let taken = 0;
  const nextRows = (count: number): string[] => {
    taken += count;
    return rows.slice(taken - count, taken);
  };
  const commands = header.ops.map((op) => commandOf(op, nextRows));
  if (taken !== rows.length) {
    throw new ShardlineError('BAD_MESSAGE', `${rows.length} rows came with operations that have ${taken}`);
  }
  return { configId: header.configId, commands };
}

function named({ operation, fingerprint }: OperationName): OperationName {
  return { ...(operation === undefined ? {} : { operation }), ...(fingerprint === undefined ? {} : { fingerprint }) };
}
