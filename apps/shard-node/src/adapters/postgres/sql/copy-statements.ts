/**
 * COPY on the pool's connections: rows in Postgres's own text form, which nobody between two databases needs to understand. `pg`
 * knows the messages of COPY but has no query for it.
 */
import { Query, type PoolClient } from 'pg';

/** What `pg` offers on a connection to whoever sends a COPY; its types leave it out. */
interface CopyConnection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

type Done = (error: Error | null | undefined) => void;

interface CopyMessage {
  chunk: Buffer;
}

const asQuery = (text: string, done: Done): ConstructorParameters<typeof Query> => [text, [], done] as never;

/** Sends what is to be copied without waiting to be asked for it, as everything on these connections is sent. */
class CopyIn extends Query {
  constructor(
    private readonly copyText: string,
    private readonly copiedRows: string,
    done: Done,
  ) {
    super(...asQuery(copyText, done));
  }

  override submit = (connection: unknown): void => {
    const to = connection as CopyConnection;
    to.query(this.copyText);
    to.sendCopyFromChunk(Buffer.from(this.copiedRows));
    to.endCopyFrom();
  };

  handleCopyInResponse(): void {
    // The rows are on their way.
  }
}

class CopyOut extends Query {
  constructor(
    private readonly copyText: string,
    private readonly take: (row: Buffer) => void,
    done: Done,
  ) {
    super(...asQuery(copyText, done));
  }

  override submit = (connection: unknown): void => {
    (connection as CopyConnection).query(this.copyText);
  };

  handleCopyData({ chunk }: CopyMessage): void {
    this.take(chunk);
  }
}

/** COPY … FROM STDIN of rows in text form. */
export function copyIn(client: Pick<PoolClient, 'query'>, text: string, rows: string): Promise<void> {
  return perform(client, (done) => new CopyIn(text, rows, done));
}

/** COPY … TO STDOUT. `take` gets each row, line feed included, in memory that is used again afterwards. */
export function copyOut(client: Pick<PoolClient, 'query'>, text: string, take: (row: Buffer) => void): Promise<void> {
  return perform(client, (done) => new CopyOut(text, take, done));
}

function perform(client: Pick<PoolClient, 'query'>, make: (done: Done) => Query): Promise<void> {
  return new Promise((resolve, reject) => {
    const query = make((error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
    client.query(query);
  });
}

/** Rows of a page, in Postgres's text form, up to so many bytes (the first comes whatever its size). */
export class CopiedRows {
  private memory: Buffer;
  private used = 0;
  private lastAt = 0;
  /** Kept, and seen: when these differ the page is full. */
  count = 0;
  looked = 0;

  constructor(private readonly maxBytes: number) {
    this.memory = Buffer.allocUnsafe(Math.min(maxBytes, 1 << 20));
  }

  readonly add = (row: Buffer): void => {
    this.looked += 1;
    if (this.looked > this.count + 1 || (this.count > 0 && this.used + row.length > this.maxBytes)) return;
    if (this.used + row.length > this.memory.length) this.grow(this.used + row.length);
    row.copy(this.memory, this.used);
    this.lastAt = this.used;
    this.used += row.length;
    this.count += 1;
  };

  get bytes(): number {
    return this.used;
  }
  get text(): string {
    return this.memory.toString('utf8', 0, this.used);
  }
  /** The first two columns of the last row, which are numbers. */
  get lastCells(): [number, number] {
    const [first, second] = this.memory
      .toString('latin1', this.lastAt, Math.min(this.lastAt + 48, this.used))
      .split('\t');
    return [Number(first), Number(second)];
  }

  private grow(needed: number): void {
    const larger = Buffer.allocUnsafe(Math.max(needed, this.memory.length * 2));
    this.memory.copy(larger, 0, 0, this.used);
    this.memory = larger;
  }
}
