/** Bodies as they come: bytes that are taken for JSON whatever their content type says. */
import { isUtf8 } from 'node:buffer';
import { badRequest } from '../core/body-fields';
import { parseJsonText } from '../core/numeral';

const BYTE_ORDER_MARK = '\uFEFF';

/**
 * The JSON of a body; undefined when there is none.
 *
 * @throws ShardlineError BAD_REQUEST
 */
export function parseBody(bytes: unknown): unknown {
  if (!Buffer.isBuffer(bytes) || bytes.length === 0) return undefined;
  if (!isUtf8(bytes)) throw badRequest('the body is not UTF-8 text: send one JSON object');
  const text = bytes.toString('utf8');
  return parseJsonText(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
}

/** Gives the parsed body again and again: who takes it may change it, so every taker but the first gets a new one. */
export function bodySource(bytes: unknown): () => unknown {
  const first = { body: parseBody(bytes), taken: false };
  return () => {
    if (first.taken) return parseBody(bytes);
    first.taken = true;
    return first.body;
  };
}
