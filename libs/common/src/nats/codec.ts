/** Messages from bytes, each checked against its definition. */
import { errorAnswer, ShardlineError } from '../contracts/errors';
import { nothing } from '../contracts/shapes';
import { parseJson, request, type NatsConnection } from './connection';
import { decodeRawLines, splitRows, type Lines, type RawLines } from './lines';
import { Message } from './message';

const BRACKET = '['.charCodeAt(0);
const BRACE = '{'.charCodeAt(0);
const ERROR = new Message(errorAnswer);
const NOTHING = new Message(nothing);

/** A message without rows; it may come as JSON or as the header of lines. @throws ShardlineError BAD_MESSAGE */
export function readMessage<T>(message: Message<T>, data: Uint8Array): T {
  return message.check(data[0] === BRACKET ? decodeRawLines<unknown>(data).header : parseJson(data));
}

/** A message that says nothing: no bytes, or `{}`. @throws ShardlineError BAD_MESSAGE */
export function readNothing(data: Uint8Array): void {
  if (data.length > 0) NOTHING.check(parseJson(data));
}

/** A message with rows behind it. @throws ShardlineError BAD_MESSAGE */
export function readLines<T>(message: Message<T>, data: Uint8Array): Lines<T> {
  const { header, text } = readRawLines(message, data);
  return { header, rows: splitRows(text) };
}

/** The same with the rows as one text. @throws ShardlineError BAD_MESSAGE */
export function readRawLines<T>(message: Message<T>, data: Uint8Array): RawLines<T> {
  const { header, text } = decodeRawLines<unknown>(data);
  return { header: message.check(header), text };
}

/** An answer without rows. @throws ShardlineError what was answered, or BAD_MESSAGE */
export function readAnswer<T>(reply: Message<T>, data: Uint8Array): T {
  const answer = parseJson<unknown>(data);
  if (isFailure(answer)) throw ShardlineError.fromBody(ERROR.check(answer).error);
  return reply.check(answer);
}

/** An answer with rows; a failure comes as a bare object instead. @throws ShardlineError what was answered, or BAD_MESSAGE */
export function readRowsAnswer<T>(reply: Message<T>, data: Uint8Array): RawLines<T> {
  throwFailure(data);
  return readRawLines(reply, data);
}

/** Where a failure would be the only object: everything else comes as lines or text. @throws ShardlineError what was answered */
export function throwFailure(data: Uint8Array): void {
  if (data[0] === BRACE) throw ShardlineError.fromBody(ERROR.check(parseJson(data)).error);
}

/** Asks with JSON and waits for a JSON answer. @throws ShardlineError as `request`, or what was answered */
export async function requestJson<T>(
  nats: NatsConnection,
  subject: string,
  payload: unknown,
  timeoutMs: number,
  reply: Message<T>,
): Promise<T> {
  return readAnswer(reply, await request(nats, subject, JSON.stringify(payload), timeoutMs));
}

function isFailure(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'error' in answer;
}
