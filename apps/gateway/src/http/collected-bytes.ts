/**
 * Bytes that come in pieces, in one buffer that grows with them.
 *
 * A client may send a body byte by byte: a list of the pieces would take hundreds of times the memory of the body. The first
 * piece is kept as it is, since it is mostly the only one.
 */
const FIRST_ROOM_BYTES = 4_096;

export class CollectedBytes {
  /** How many there are. */
  length = 0;
  private room: Buffer = Buffer.alloc(0);
  private isOwn = false;

  /** @param limitBytes no more than so many bytes are ever added */
  constructor(private readonly limitBytes: number) {}

  /** Bytes of memory that are held. */
  get capacity(): number {
    return this.room.length;
  }

  /** Adds a piece, which may be used for something else afterwards unless it is the first. */
  append(piece: Buffer): void {
    if (this.length === 0) this.room = piece;
    else {
      this.makeRoom(this.length + piece.length);
      piece.copy(this.room, this.length);
    }
    this.length += piece.length;
  }

  /** All of them. */
  bytes(): Buffer {
    return this.room.subarray(0, this.length);
  }

  private makeRoom(neededBytes: number): void {
    if (this.isOwn && neededBytes <= this.room.length) return;
    const doubled = Math.max(2 * this.room.length, neededBytes, FIRST_ROOM_BYTES);
    const larger = Buffer.allocUnsafe(Math.max(neededBytes, Math.min(doubled, this.limitBytes)));
    this.room.copy(larger, 0, 0, this.length);
    this.room = larger;
    this.isOwn = true;
  }
}
