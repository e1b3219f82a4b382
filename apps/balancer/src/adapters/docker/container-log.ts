/** A container's log as the engine sends it: pieces of standard output and standard error, each behind eight bytes of its own. */

const HEADER_BYTES = 8;
const LENGTH_OFFSET = 4;

/** The text of all pieces, in their order. What is cut off at the end is left out. */
export function textOfLog(log: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= log.length;) {
    const end = at + HEADER_BYTES + log.readUInt32BE(at + LENGTH_OFFSET);
    pieces.push(log.subarray(at + HEADER_BYTES, end));
    at = end;
  }
  return Buffer.concat(pieces).toString('utf8');
}
