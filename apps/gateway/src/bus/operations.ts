/** What a client wants changed, under the name by which everybody knows it again: its operation id. */
import { createHash, randomBytes } from 'node:crypto';
import { ShardlineError } from '#common/contracts/errors';

/** One change from its arrival to its answer, through all the attempts that it takes. */
export class Operation {
  /** It was sent, and whether it was carried out is not known: nobody may hear that nothing happened. */
  inDoubt = false;
  private configId: number | null = null;

  constructor(
    /** As OPERATION_PATTERN says. */
    readonly id: string,
    /** The client chose the id, so that the id may come again with another request. */
    readonly isClientsOwn: boolean,
    readonly arrivedAtMs: number,
  ) {}

  /**
   * It is about to be sent to the cluster of this configuration. What may have been done under the one before is gone with that, and must
   * not be done once more.
   *
   * @throws ShardlineError OUTCOME_UNKNOWN
   */
  sendUnder(configId: number): void {
    if (this.inDoubt && this.configId !== null && this.configId !== configId) {
      const message =
        'the configuration was replaced while this was under way; whether it was done before that is not known';
      throw new ShardlineError('OUTCOME_UNKNOWN', message);
    }
    this.configId = configId;
  }

  /** What distinguishes this request from another one with the same id; undefined where nobody else can have the id. */
  fingerprint(kind: string, asked: readonly string[]): string | undefined {
    if (!this.isClientsOwn) return undefined;
    const hash = createHash('sha256').update([kind, ...asked].join('\n'));
    return hash.digest('base64url').slice(0, FINGERPRINT_LENGTH);
  }
}

/** 132 bits. */
const FINGERPRINT_LENGTH = 22;

/**
 * Makes ids: 9 characters of time, 4 that count within a millisecond, 8 that no other gateway has. Later ones sort behind
 * earlier ones, so that an index of them grows at its end.
 */
export class OperationIds {
  private readonly source: string;
  private lastMs = 0;
  private countInMs = 0;

  /**
   * @param nowMs the time of day; where it goes back, ids go on from where they were
   * @param chance 8 random characters, drawn at every start
   */
  constructor(
    private readonly nowMs: () => number = Date.now,
    chance: string = randomText(8),
  ) {
    this.source = chance;
  }

  next(): string {
    const nowMs = this.nowMs();
    if (nowMs > this.lastMs) {
      this.lastMs = nowMs;
      this.countInMs = 0;
    } else {
      this.countInMs += 1;
      if (this.countInMs === 36 ** 4) {
        this.lastMs += 1;
        this.countInMs = 0;
      }
    }
    return base36(this.lastMs, 9) + base36(this.countInMs, 4) + this.source;
  }
}

function base36(number: number, length: number): string {
  return number.toString(36).padStart(length, '0');
}

function randomText(length: number): string {
  return Array.from(randomBytes(length), (byte) => (byte % 36).toString(36)).join('');
}
