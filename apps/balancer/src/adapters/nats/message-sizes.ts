/** About how many bytes requests take on the wire; rather a little too many. */
import type { OpName, RoundPart, ShardPart } from '#common/contracts/node';

/** A key, term or VAT with what stands around it; ±2^53 has seventeen characters. */
const NUMBER_BYTES = 18;
/** Field names and punctuation. */
const ROUND_BYTES = 48;
const PART_BYTES = 96;
const OP_BYTES = 64;

/** A read of one key. */
export const READ_BYTES = 160;

/** One round for one server, with its rows. */
export function bytesOfRound(round: RoundPart, rows: readonly string[]): number {
  let bytes = ROUND_BYTES;
  for (const shard of Object.keys(round.lastTerms)) bytes += shard.length + NUMBER_BYTES;
  for (const part of round.parts) bytes += bytesOfPart(part);
  for (const row of rows) bytes += Buffer.byteLength(row) + 2;
  return bytes;
}

/** The id and the fingerprint, with their field names. */
function bytesOfName({ id, fingerprint }: OpName): number {
  return (id === undefined ? 0 : id.length + 8) + (fingerprint === undefined ? 0 : fingerprint.length + 17);
}

function bytesOfPart({ shard, ops }: ShardPart): number {
  let bytes = PART_BYTES + shard.length + 4 * NUMBER_BYTES;
  for (const op of ops) {
    bytes += OP_BYTES + NUMBER_BYTES * (op.op === 'create' ? op.keys.length : 1) + bytesOfName(op);
  }
  return bytes;
}
