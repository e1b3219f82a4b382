/**
 * Whether a server that answers is well. Its heartbeats report its Postgres, its disk and its event loop, and their answers take
 * as long as is usual for it, or longer.
 *
 * Raised and dropped at different points, so that a server at the edge of a threshold does not go to and fro. A suspicion is
 * dropped only when several heartbeats in a row were well clear of what raised it.
 */
import { SUSPECT_CAUSES, type SuspectCause, type VitalSigns } from '#common/contracts/commands';

/** When a server is suspect. */
export interface SuspicionSettings {
  /** So many missed heartbeats in a row. */
  misses: number;
  /** Less room than this on the file system of its data. */
  diskFreeBytes: number;
  /** An event loop that is later than this. */
  eventLoopMs: number;
  /** Answers that take longer than this and longer than `answerFactor` times what is usual for the server. */
  answerMs: number;
  answerFactor: number;
  /** So many heartbeats in a row must be late before lateness counts, and be well before any suspicion is dropped. */
  pings: number;
}

/** `fair`: neither bad enough to raise a suspicion nor good enough to drop one. */
type Sign = 'bad' | 'fair' | 'good';

/** A suspicion is dropped when this part of the threshold is not exceeded any more (of room: when so much more is there). */
const CLEAR_OF_LATENESS = 0.5;
const CLEAR_OF_DISK = 1.25;
/** How quickly the usual time follows: weight of the newest answer. */
const GAIN = 1 / 8;

interface Symptom {
  isSuspected: boolean;
  badInARow: number;
  goodInARow: number;
}

export const UNKNOWN_SIGNS: VitalSigns = {
  postgres: null,
  diskFreeBytes: null,
  eventLoopDelayMs: null,
  answerMs: null,
};

/** What is held against one server. */
export class Suspicion {
  private readonly symptoms = Object.fromEntries(
    SUSPECT_CAUSES.map((cause) => [cause, { isSuspected: false, badInARow: 0, goodInARow: 0 }]),
  ) as Record<SuspectCause, Symptom>;
  private usualAnswerMs: number | null = null;
  private signs: VitalSigns = UNKNOWN_SIGNS;
  private suspectedOf: readonly SuspectCause[] = [];

  constructor(private readonly settings: SuspicionSettings) {}

  /** In the order of `SUSPECT_CAUSES`; empty when the server is well. Kept, since every read asks for it. */
  get causes(): readonly SuspectCause[] {
    return this.suspectedOf;
  }

  /** As reported by the last heartbeat that was answered. */
  get lastSigns(): VitalSigns {
    return this.signs;
  }

  /** A heartbeat was answered. */
  answered(signs: VitalSigns): void {
    const { diskFreeBytes, eventLoopMs, pings } = this.settings;
    this.signs = signs;
    this.note('missed', 'good', 1);
    if (signs.postgres !== null) this.note('postgres', signs.postgres === 'down' ? 'bad' : 'good', 1);
    if (signs.diskFreeBytes !== null) this.note('disk', signOfRoom(signs.diskFreeBytes, diskFreeBytes), 1);
    if (signs.eventLoopDelayMs !== null) {
      this.note('event-loop', signOfLateness(signs.eventLoopDelayMs, eventLoopMs), pings);
    }
    if (signs.answerMs !== null) this.note('slow', this.judgeAnswer(signs.answerMs), pings);
    this.sumUp();
  }

  /** Its last `inARow` heartbeats were not answered. */
  missed(inARow: number): void {
    this.note('missed', inARow >= this.settings.misses ? 'bad' : 'fair', 1);
    for (const symptom of Object.values(this.symptoms)) symptom.goodInARow = 0;
    this.sumUp();
  }

  private sumUp(): void {
    this.suspectedOf = SUSPECT_CAUSES.filter((cause) => this.symptoms[cause].isSuspected);
  }

  /** What is late is not learned as usual: a server that has become slow stays so. */
  private judgeAnswer(answerMs: number): Sign {
    const usualMs = this.usualAnswerMs ?? answerMs;
    const sign = signOfLateness(answerMs, Math.max(this.settings.answerMs, this.settings.answerFactor * usualMs));
    if (sign !== 'bad') this.usualAnswerMs = usualMs + GAIN * (answerMs - usualMs);
    return sign;
  }

  private note(cause: SuspectCause, sign: Sign, raiseAfter: number): void {
    const symptom = this.symptoms[cause];
    symptom.badInARow = sign === 'bad' ? symptom.badInARow + 1 : 0;
    symptom.goodInARow = sign === 'good' ? symptom.goodInARow + 1 : 0;
    if (symptom.badInARow >= raiseAfter) symptom.isSuspected = true;
    else if (symptom.goodInARow >= this.settings.pings) symptom.isSuspected = false;
  }
}

function signOfRoom(freeBytes: number, lowBytes: number): Sign {
  if (freeBytes < lowBytes) return 'bad';
  return freeBytes >= lowBytes * CLEAR_OF_DISK ? 'good' : 'fair';
}

function signOfLateness(ms: number, limitMs: number): Sign {
  if (ms > limitMs) return 'bad';
  return ms <= limitMs * CLEAR_OF_LATENESS ? 'good' : 'fair';
}

const WORDS: Record<SuspectCause, string> = {
  missed: 'it does not answer its heartbeat',
  postgres: 'its Postgres does not answer',
  disk: 'its disk is nearly full',
  'event-loop': 'its event loop lags',
  slow: 'its answers come later than usual',
};

/** For people: what is held against a server. */
export function describeSuspicion(causes: readonly SuspectCause[]): string {
  return causes.map((cause) => WORDS[cause]).join(', ');
}
