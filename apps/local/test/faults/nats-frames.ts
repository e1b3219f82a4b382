/**
 * The byte stream of a NATS connection, cut into whole frames, so that something between client and server can lose, repeat or
 * delay one message and leave the others alone. Both directions look alike: a line, and behind some lines a payload whose
 * length is the line's last number.
 */

const LINE_END = Buffer.from('\r\n');
/** Verbs that are followed by a payload: `PUB` and `HPUB` from a client, `MSG` and `HMSG` from the server. */
const WITH_PAYLOAD = new Set(['PUB', 'HPUB', 'MSG', 'HMSG']);

export interface Frame {
  verb: string;
  /** Of a message: where it goes. */
  subject: string;
  /** The frame as it is on the wire, both line ends included. */
  bytes: Buffer;
}

/** Whether the frame carries a message, and is not a part of the protocol's own talk (`CONNECT`, `SUB`, `PING`…). */
export function isMessage({ verb }: Frame): boolean {
  return WITH_PAYLOAD.has(verb);
}

/** What the client calls itself, when this is the frame that says so. */
export function clientName({ verb, bytes }: Frame): string | undefined {
  if (verb !== 'CONNECT') return undefined;
  const said = JSON.parse(bytes.toString('utf8').slice('CONNECT '.length)) as { name?: string };
  return said.name ?? '';
}

export class FrameCutter {
  private chunks: Buffer[] = [];
  private size = 0;
  /** So many bytes must be there before it is worth looking again. */
  private needed = 1;

  /** The frames that `chunk` completes; the rest is kept for the next one. */
  push(chunk: Buffer): Frame[] {
    this.chunks.push(chunk);
    this.size += chunk.length;
    if (this.size < this.needed) return [];
    let bytes = Buffer.concat(this.chunks);
    const frames: Frame[] = [];
    for (let frame = this.first(bytes); frame !== undefined; frame = this.first(bytes)) {
      frames.push(frame);
      bytes = bytes.subarray(frame.bytes.length);
    }
    this.chunks = [bytes];
    this.size = bytes.length;
    return frames;
  }

  private first(bytes: Buffer): Frame | undefined {
    this.needed = bytes.length + 1;
    const lineEnd = bytes.indexOf(LINE_END);
    if (lineEnd === -1) return undefined;
    const words = bytes.toString('latin1', 0, lineEnd).split(' ');
    const verb = (words[0] ?? '').toUpperCase();
    let length = lineEnd + LINE_END.length;
    if (WITH_PAYLOAD.has(verb)) length += Number(words.at(-1)) + LINE_END.length;
    if (bytes.length < length) {
      this.needed = length;
      return undefined;
    }
    return { verb, subject: words[1] ?? '', bytes: bytes.subarray(0, length) };
  }
}
