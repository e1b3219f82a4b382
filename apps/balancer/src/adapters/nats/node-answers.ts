/** Answers of shard-nodes that carry rows. */
import type { ErrorBody } from '#common/contracts/errors';
import { parseJson, unwrapAnswer } from '#common/nats/connection';
import { decodeLines, type Lines } from '#common/nats/lines';

const BRACE = '{'.charCodeAt(0);

/** Header and rows; a failure comes as a bare object instead. @throws ShardlineError what was answered, or BAD_MESSAGE */
export function decodeNodeAnswer<H extends object>(data: Uint8Array): Lines<H> {
  if (data[0] !== BRACE) return decodeLines<H>(data);
  return { header: unwrapAnswer(parseJson<H & { error?: ErrorBody }>(data)), rows: [] };
}
