/**
 * What gateways send to a balancer, and what it answers, as it is when it has come over the wire: through the bytes, the definitions and
 * the code that both services use.
 */
import type { OperationStatus, SnapshotLeasesReply, SnapshotLeasesRequest } from '#common/contracts/commands';
import { readAnswer, readMessage } from '#common/nats/codec';
import { COMMAND_MESSAGES } from '#common/nats/command-messages';
import { encodeLines } from '#common/nats/lines';
import type { Message } from '#common/nats/message';
import { jsonBytes } from '#common/nats/text';
import { readReply } from '../../../gateway/src/bus/batching/batch';
import type {
  AdminCommand,
  AdminResult,
  Answered,
  Result,
  RecordCommand,
  UntimedEvent,
} from '../../src/core/kernel/effects';
import { readCommand } from '../../src/runtime/admin-shapes';
import { readCommands } from '../../src/runtime/record-commands';

/** What happens to a balancer; as it arrives there, where somebody sent it. @throws ShardlineError BAD_MESSAGE, BAD_REQUEST */
export function wiredEvent(event: UntimedEvent): UntimedEvent {
  if (event.on === 'records') {
    const { configId } = event;
    return { ...event, commands: event.commands.map((command) => wiredRecord(configId, command)) };
  }
  if (event.on === 'operation') {
    const { operation } = event;
    return { ...event, ...readMessage(COMMAND_MESSAGES.operation.request, jsonBytes({ operation })) };
  }
  return event.on === 'admin' ? { ...event, command: wiredAdmin(event.command) } : event;
}

/** The answer to one operation. */
export function wiredAnswer({ result, row }: Answered): Answered {
  if ('status' in result) {
    const status = readAnswer(
      COMMAND_MESSAGES.operation.reply,
      jsonBytes((result as { status: OperationStatus }).status),
    );
    return { result: Object.assign({ ...result }, { status }) };
  }
  const { reply } = 'shards' in result ? COMMAND_MESSAGES.read : COMMAND_MESSAGES.write;
  const rows = row === undefined ? [] : [row];
  const content = readReply<object>(reply, encodeLines({ results: [result], done: true }, rows));
  if (content.failure !== null) throw content.failure;
  const [{ index, outcome, error } = { index: 0, outcome: null, error: null }] = content.outcomes;
  if (error !== null) return { result: { id: index, error: error.toBody() } };
  if (outcome === null) throw new Error('an answer without an outcome');
  const [line] = outcome.rows;
  return { result: outcome.result as Answered['result'], ...(line === undefined ? {} : { row: line }) };
}

/** The answer to an administrator. */
export function wiredOutcome(outcome: Result<AdminResult>): Result<AdminResult> {
  if (!outcome.ok) return outcome;
  const [name, done] = Object.entries(outcome.value)[0] as [AdminCommand['op'], object | null];
  const answer = readAnswer(COMMAND_MESSAGES[name].reply as Message<object>, jsonBytes(done ?? {}));
  return { ok: true, value: { [name]: done === null ? null : answer } as AdminResult };
}

export function wiredSnapshotLeases(
  request: SnapshotLeasesRequest,
  answer: (request: SnapshotLeasesRequest) => SnapshotLeasesReply | null,
): SnapshotLeasesReply | null {
  const reply = answer(readMessage(COMMAND_MESSAGES.snapshotLeases.request, jsonBytes(request)));
  return reply === null ? null : readAnswer(COMMAND_MESSAGES.snapshotLeases.reply, jsonBytes(reply));
}

function wiredRecord(configId: number, record: RecordCommand): RecordCommand {
  const { batch } = record;
  const [kind, op, rows] = asGateway(record);
  const { commands } = readCommands[kind](encodeLines({ configId, ops: [op] }, rows));
  return { ...commands[0], batch } as RecordCommand;
}

/** The kind of message, the operation in its header, and the rows behind that. What is undefined is not written. */
function asGateway(record: RecordCommand): [keyof typeof readCommands, object, readonly string[]] {
  const { id } = record;
  if (record.op === 'read') return ['read', { id, low: record.low, high: record.high }, []];
  const name = { operation: record.operation, fingerprint: record.fingerprint };
  if (record.op === 'write') {
    return ['write', { id, ...name, onConflict: record.onConflict, keys: record.keys }, record.rows];
  }
  const op = { id, ...name, key: record.key };
  return record.op === 'update' ? ['update', op, [record.row]] : ['del', op, []];
}

function wiredAdmin(command: AdminCommand): AdminCommand {
  if (command.op === 'scrub') return command;
  const message = COMMAND_MESSAGES[command.op].request as Message<object>;
  return { ...command, command: readCommand(message, jsonBytes(command.command)) } as AdminCommand;
}
