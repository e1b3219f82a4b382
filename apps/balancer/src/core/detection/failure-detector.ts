/**
 * Who is healthy, who is suspect, and who is given up (dead).
 *
 * A ping carries a sequence number that is never used twice. Its result is counted once, and only while no result of a
 * newer ping to the same server has been counted. An answer that was under way while later pings were missed says
 * nothing about now, and must not bring a server back that has been given up meanwhile.
 */
import type { SuspectCause, VitalSigns } from '#common/contracts/commands';
import { Suspicion, UNKNOWN_SIGNS, type SuspicionSettings } from './suspicion';

/** `starting`: no ping has had a result yet. `missing`: the last ping was missed. `flatline`: too many in a row were. */
export type Pulse = 'starting' | 'up' | 'missing' | 'flatline';

/** `late`: a newer ping's result has been counted, or the server has been forgotten since; nothing changed. */
export type AnswerVerdict = 'counted' | 'late';
/** `flatline` is said once, at the miss that makes it. */
export type MissVerdict = 'counted' | 'flatline' | 'late';

/** What a ping's answer reports beside that it came. */
export type ReportedSigns = Omit<VitalSigns, 'answerMs'>;

interface Watch {
  /** When the pings that have had no result yet were sent, by sequence number. */
  readonly sentMs: Map<number, number>;
  readonly suspicion: Suspicion;
  /** Results of pings up to here are not taken (any more). */
  settledSequence: number;
  missesInARow: number;
  /** Null when no ping was ever answered. */
  answeredAtMs: number | null;
  pulse: Pulse;
}

export class FailureDetector {
  private readonly watches = new Map<string, Watch>();
  private lastSequence = 0;

  /** @param misses pings missed in a row that make a flatline, from 1 on */
  constructor(
    private readonly misses: number,
    private readonly suspicionSettings: SuspicionSettings,
  ) {
    if (!Number.isSafeInteger(misses) || misses < 1) throw new RangeError(`${misses} misses cannot make a flatline`);
  }

  /** The sequence number of the ping that is about to be sent. A server is watched from its first ping on. */
  nextPing(server: string, nowMs: number): number {
    this.lastSequence += 1;
    let watch = this.watches.get(server);
    if (watch === undefined) {
      const counts = { settledSequence: this.lastSequence - 1, missesInARow: 0, answeredAtMs: null };
      const suspicion = new Suspicion(this.suspicionSettings);
      watch = { ...counts, pulse: 'starting', suspicion, sentMs: new Map() };
      this.watches.set(server, watch);
    }
    watch.sentMs.set(this.lastSequence, nowMs);
    return this.lastSequence;
  }

  /** The ping of this number was answered at `nowMs`, with these signs. */
  answered(server: string, sequence: number, nowMs: number, signs: ReportedSigns): AnswerVerdict {
    const sentMs = this.watches.get(server)?.sentMs.get(sequence) ?? nowMs;
    const watch = this.settle(server, sequence);
    if (watch === undefined) return 'late';
    watch.suspicion.answered({ answerMs: nowMs - sentMs, ...signs });
    watch.missesInARow = 0;
    watch.answeredAtMs = nowMs;
    watch.pulse = 'up';
    return 'counted';
  }

  /** The ping of this number had no answer in time, or nobody was there to take it. */
  missed(server: string, sequence: number): MissVerdict {
    const watch = this.settle(server, sequence);
    if (watch === undefined) return 'late';
    watch.missesInARow += 1;
    watch.suspicion.missed(watch.missesInARow);
    if (watch.missesInARow < this.misses) {
      watch.pulse = 'missing';
      return 'counted';
    }
    const verdict = watch.pulse === 'flatline' ? 'counted' : 'flatline';
    watch.pulse = 'flatline';
    return verdict;
  }

  /** Starts afresh: counts of the server are dropped, and results of pings sent so far will be `late`. */
  forget(server: string): void {
    this.watches.delete(server);
  }

  state(server: string): Pulse {
    return this.watches.get(server)?.pulse ?? 'starting';
  }

  /** Why the server is suspect; empty when it is not. */
  suspectCauses(server: string): readonly SuspectCause[] {
    return this.watches.get(server)?.suspicion.causes ?? [];
  }

  /** As reported with the last answered ping. */
  vitals(server: string): VitalSigns {
    return this.watches.get(server)?.suspicion.lastSigns ?? UNKNOWN_SIGNS;
  }

  missesInARow(server: string): number {
    return this.watches.get(server)?.missesInARow ?? 0;
  }

  /** Milliseconds since the last answered ping; null when there was none. */
  heartbeatAgeMs(server: string, nowMs: number): number | null {
    const answeredAtMs = this.watches.get(server)?.answeredAtMs ?? null;
    return answeredAtMs === null ? null : Math.max(0, nowMs - answeredAtMs);
  }

  /** Pings to the server that have had no result yet, as far as a later one has had none. */
  awaited(server: string): number {
    return this.watches.get(server)?.sentMs.size ?? 0;
  }

  private settle(server: string, sequence: number): Watch | undefined {
    const watch = this.watches.get(server);
    if (watch === undefined || sequence <= watch.settledSequence) return undefined;
    watch.settledSequence = sequence;
    for (const sent of watch.sentMs.keys()) if (sent <= sequence) watch.sentMs.delete(sent);
    return watch;
  }
}
