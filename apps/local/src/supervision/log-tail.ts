/** Follows a log file and says in short what is a warning or worse. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { isWord } from '#common/process/last-word';

const POLL_MS = 200;
/** What is read at one poll at most; the rest waits for the next. */
const READ_BYTES = 256 * 1024;
/** Lines shown within one window; what goes beyond is only counted. */
const LINES_PER_WINDOW = 12;
const WINDOW_MS = 10_000;
const SHOWN_CHARS = 300;
const WARN_LEVEL = 40;

export interface Remark {
  level: 'warn' | 'error';
  text: string;
}

/**
 * A log line in short; undefined when it is no warning. Ours are pino's JSON objects, NATS marks its own with `[WRN]`,
 * `[ERR]`, `[FTL]`.
 */
export function remarkOf(line: string): Remark | undefined {
  const nats = /\[(WRN|ERR|FTL)\] (.*)$/.exec(line);
  if (nats !== null)
    return { level: nats[1] === 'WRN' ? 'warn' : 'error', text: (nats[2] ?? '').slice(0, SHOWN_CHARS) };
  if (!line.startsWith('{')) return undefined;
  const entry = parse(line);
  if (entry === undefined || typeof entry.level !== 'number' || entry.level < WARN_LEVEL) return undefined;
  const why = entry.err?.message ?? entry.why;
  const cause = typeof why === 'string' ? `: ${why}` : '';
  const who = typeof entry.server === 'string' ? ` ${entry.server}` : '';
  const message = typeof entry.msg === 'string' ? entry.msg : '';
  const text = `${message}${who}${cause}`.replaceAll(/\s+/g, ' ').trim();
  return { level: entry.level > WARN_LEVEL ? 'error' : 'warn', text: text.slice(0, SHOWN_CHARS) };
}

interface Entry {
  level?: unknown;
  msg?: unknown;
  server?: unknown;
  why?: unknown;
  err?: { message?: unknown };
}

function parse(line: string): Entry | undefined {
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return undefined;
  }
}

export class LogTail {
  private readonly file: number;
  private offset: number;
  private rest = '';
  private lastLine = '';
  private timer: NodeJS.Timeout | undefined;
  private windowEndMs = 0;
  private shown = 0;
  private left = 0;

  /** Follows the file from where it ends now. It must exist. */
  constructor(
    path: string,
    private readonly show: (remark: Remark) => void,
  ) {
    this.file = openSync(path, 'r');
    this.offset = fstatSync(this.file).size;
  }

  start(): void {
    this.timer = setInterval(() => {
      this.read();
    }, POLL_MS);
  }

  /** The last line that was written and is not a log entry: what a program said before it gave up. */
  finalWord(): string {
    this.read();
    return (isWord(this.rest) ? this.rest : this.lastLine).slice(0, SHOWN_CHARS);
  }

  stop(): void {
    if (this.timer === undefined) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.read();
    closeSync(this.file);
  }

  private read(): void {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    const bytes = readSync(this.file, buffer, 0, READ_BYTES, this.offset);
    if (bytes === 0) return;
    this.offset += bytes;
    const lines = (this.rest + buffer.toString('utf8', 0, bytes)).split('\n');
    this.rest = (lines.pop() ?? '').slice(-READ_BYTES);
    for (const line of lines) this.take(line);
  }

  private take(line: string): void {
    if (isWord(line)) this.lastLine = line;
    const remark = remarkOf(line);
    if (remark === undefined) return;
    const nowMs = performance.now();
    if (nowMs >= this.windowEndMs) {
      if (this.left > 0) this.show({ level: 'warn', text: `${this.left} more, see the log` });
      this.windowEndMs = nowMs + WINDOW_MS;
      this.shown = 0;
      this.left = 0;
    }
    if (this.shown < LINES_PER_WINDOW) {
      this.shown += 1;
      this.show(remark);
    } else {
      this.left += 1;
    }
  }
}
