/** Messages of lines as tests look at them: the header, and each row behind it. */
import { decodeRawLines, splitRows, type Lines } from '../nats/lines';

/** @throws ShardlineError BAD_MESSAGE */
export function decodeLines<H>(data: Uint8Array): Lines<H> {
  const { header, text } = decodeRawLines<H>(data);
  return { header, rows: splitRows(text) };
}
