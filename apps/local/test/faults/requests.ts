/** Operations as the clients of the fault tests send them, and what the answers to them mean. */
import { CONFLICT_POLICIES } from '#common/contracts/commands';
import type { Ending, Operation } from '#common/testing/history';
import type { Chance } from './chance';
import type { Lost, Question, Reply } from './gateway-client';
import { SHARDS, type KeyBlock, type KeyRange, type Row } from './table';

/** A range read covers every key of the block in `range`. */
export interface Request {
  operation: Operation;
  range?: KeyRange;
}

/** Rows are a little larger than they need be, so that pages fill. */
const PADDING = 'x'.repeat(200);

/** The next thing that a client does; `token()` makes a value that is never used twice. */
export function chooseRequest(chance: Chance, block: KeyBlock, token: () => string): Request {
  const group = block.pickGroup(chance);
  const [key = 0] = chance.some(group, 1);
  const kind = chance.next();
  if (kind < 0.3) {
    const keys = chance.happens(0.5) ? [key] : chance.some(group, 2 + chance.below(2));
    const onConflict = chance.happens(0.6) ? 'error' : chance.pick(CONFLICT_POLICIES);
    return { operation: { kind: 'write', onConflict, keys, tokens: keys.map(token) } };
  }
  if (kind < 0.5) return { operation: { kind: 'update', keys: [key], tokens: [token()] } };
  if (kind < 0.65) return { operation: { kind: 'delete', keys: [key] } };
  if (kind < 0.97) return { operation: { kind: 'read', keys: [key] }, range: { low: key, high: key } };
  const range = chance.happens(0.6) ? block.within(chance.below(SHARDS.length)) : block.whole;
  return { operation: { kind: 'read', keys: block.keysIn(range) }, range };
}

/** The HTTP request for it; `operationId` goes along as its Idempotency-Key. */
export function questionOf({ operation, range }: Request, operationId?: string): Question {
  const headers = operationId === undefined ? {} : { 'idempotency-key': operationId };
  const { keys } = operation;
  switch (operation.kind) {
    case 'read':
      return { method: 'POST', path: '/read', body: { Stud_id: range } };
    case 'write': {
      const data = keys.map((key, index) => rowOf(key, operation.tokens[index] ?? ''));
      return { method: 'POST', path: `/write?onConflict=${operation.onConflict}`, body: { data }, headers };
    }
    case 'update':
      return {
        method: 'PUT',
        path: '/update',
        body: { Stud_id: keys[0], data: rowOf(operation.keys[0], operation.tokens[0]) },
        headers,
      };
    case 'delete':
      return { method: 'DELETE', path: '/del', body: { Stud_id: keys[0] }, headers };
  }
}

function rowOf(key: number, token: string): Row {
  return { Stud_id: key, Stud_name: token, Stud_marks: PADDING };
}

/** What the client knows after this answer; a text when it is one that should never be given. */
export function endingOf({ operation }: Request, reply: Reply | Lost): Ending | string {
  const isRead = operation.kind === 'read';
  if (typeof reply === 'string') return { how: isRead || reply === 'not sent' ? 'none' : 'unknown' };
  switch (reply.status) {
    case 200:
      return isRead ? seen(operation.keys, reply.text) : { how: 'done', added: addedBy(operation, reply.text) };
    case 503:
      return { how: 'none' };
    case 504:
      return { how: isRead ? 'none' : 'unknown' };
    case 404:
      return operation.kind === 'update' || operation.kind === 'delete' ? { how: 'refused' } : unexpected(reply);
    case 409:
      return operation.kind === 'write' && reply.text.includes('exists') ? { how: 'refused' } : unexpected(reply);
    default:
      return unexpected(reply);
  }
}

function addedBy(operation: Operation, text: string): number {
  return operation.kind === 'write' ? Number(/"(\d+) Data entries/.exec(text)?.[1]) : 1;
}

function seen(keys: readonly number[], text: string): Ending {
  const rows = (JSON.parse(text) as { data: Row[] }).data;
  const tokens = new Map(rows.map((row) => [row.Stud_id, row.Stud_name]));
  return { how: 'seen', values: keys.map((key) => tokens.get(key) ?? null) };
}

function unexpected({ status, text }: Reply): string {
  return `${status} ${text.slice(0, 300)}`;
}
