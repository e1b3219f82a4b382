/**
 * Bodies as the contract wants them: read with every method, and taken for JSON whatever their content type says.
 *
 * Fastify is set to believe that no method has a body, since its own reader depends on the content type and costs an async resource for
 * each request.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { badRequest } from '../core/body-fields';
import { parseJsonText } from '../core/numeral';
import { CollectedBytes } from './collected-bytes';
import { HttpFailure } from './error-status';

const BYTE_ORDER_MARK = '\uFEFF';

export class BodyReader {
  constructor(private readonly limitBytes: number) {}

  /**
   * The bytes of a body; undefined when there is none.
   *
   * @throws HttpFailure 413, or 400 when the client broke off
   */
  async bytes(request: IncomingMessage): Promise<Buffer | undefined> {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    if (encoding === undefined && (length === undefined || length === '0')) return undefined;
    // What is not read here is thrown away by Node behind the answer.
    if (Number(length) > this.limitBytes) throw this.tooLarge();
    return this.read(request);
  }

  /** The JSON of a body; undefined when there is none. @throws HttpFailure, ShardlineError BAD_REQUEST */
  async json(request: IncomingMessage): Promise<unknown> {
    return parseBody(await this.bytes(request));
  }

  private read(request: IncomingMessage): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const collected = new CollectedBytes(this.limitBytes);
      const stop = (): void => {
        request.off('data', onData).off('end', onEnd).off('close', onBroken);
      };
      const onData = (chunk: Buffer): void => {
        if (collected.length + chunk.length <= this.limitBytes) {
          collected.append(chunk);
          return;
        }
        stop();
        request.resume();
        reject(this.tooLarge());
      };
      const onEnd = (): void => {
        stop();
        resolve(collected.bytes());
      };
      const onBroken = (): void => {
        stop();
        reject(new HttpFailure(400, 'the body broke off'));
      };
      request.on('data', onData).on('end', onEnd).on('close', onBroken);
    });
  }

  private tooLarge(): HttpFailure {
    return new HttpFailure(
      413,
      `the body is larger than BODY_LIMIT (${this.limitBytes} bytes): send fewer rows at a time`,
    );
  }
}

/** @throws ShardlineError BAD_REQUEST */
export function parseBody(bytes: Buffer | undefined): unknown {
  if (bytes === undefined || bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw badRequest('the body is not UTF-8 text: send one JSON object');
  const text = bytes.toString('utf8');
  return parseJsonText(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
}

/** Gives the parsed body again and again: who takes it may change it, so every taker but the first gets a new one. */
export function bodySource(bytes: Buffer | undefined): () => unknown {
  const first = { body: parseBody(bytes), taken: false };
  return () => {
    if (first.taken) return parseBody(bytes);
    first.taken = true;
    return first.body;
  };
}
