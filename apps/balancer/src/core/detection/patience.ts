/**
 * How long one replica may keep the others of a shard waiting, and when one that was too late may come back.
 *
 * The limit follows what is usual now: several times the latest delay of the last while, as everything that shares the machine makes
 * all replicas late together. It is not a mean with a deviation, as the timers of TCP have (RFC 6298). Those cost a packet when they go
 * off for nothing, this one a replica that has to catch up, so it should never do that. What came too late is not learned as usual.
 *
 * A replica that was too late stays away for a pause that doubles each time, so that one that is slow again and again costs its
 * shards ever less. It is forgotten when it was in time for ten times as long.
 */

/** In milliseconds. */
export interface PatienceSettings {
  /** A delay up to here is borne in any case. */
  floorMs: number;
  /** The first pause of one that was too late; each further one is twice as long. */
  pauseMs: number;
  longestPauseMs: number;
}

/** So many times the latest delay that is remembered. */
const MARGIN = 3;
/** So many times what the others took themselves. */
const OTHERS = 2;
/** In so much time a delay is half forgotten. */
const HALF_LIFE_MS = 10_000;
/** Being in time for so many pauses wipes the slate. */
const PAUSES_IN_TIME = 10;

/** Ticks come more often than that, unless this process stood still. */
const LONGEST_STEP_MS = 100;

interface Pause {
  ms: number;
  untilMs: number;
}

export class Patience {
  private latestMs = 0;
  private learnedMs = 0;
  private readonly pauses = new Map<string, Pause>();

  constructor(private readonly settings: PatienceSettings) {}

  /** A replica answered so much later than the others, and not too late. */
  learn(delayMs: number, nowMs: number): void {
    this.latestMs = Math.max(delayMs, this.remembered(nowMs));
    this.learnedMs = nowMs;
  }

  /** How much later than the others' a replica's answer may come, where theirs took `othersMs`. */
  limitMs(othersMs: number, nowMs: number): number {
    return Math.max(this.settings.floorMs, OTHERS * othersMs, MARGIN * this.remembered(nowMs));
  }

  /** The server was too late. While its pause lasts that is reported for one of its shards after the other, and counts once. */
  wasLate(server: string, nowMs: number): void {
    const before = this.pauses.get(server);
    if (before !== undefined && nowMs < before.untilMs) return;
    const { pauseMs, longestPauseMs } = this.settings;
    const isForgotten = before === undefined || nowMs >= before.untilMs + PAUSES_IN_TIME * before.ms;
    const ms = isForgotten ? pauseMs : Math.min(longestPauseMs, 2 * before.ms);
    this.pauses.set(server, { ms, untilMs: nowMs + ms });
  }

  /** Whether the server's pause is over. */
  mayReturn(server: string, nowMs: number): boolean {
    return nowMs >= (this.pauses.get(server)?.untilMs ?? -Infinity);
  }

  /** Another process, or another server, of which nothing is known. */
  forget(server: string): void {
    this.pauses.delete(server);
  }

  private remembered(nowMs: number): number {
    return this.latestMs * 0.5 ** ((nowMs - this.learnedMs) / HALF_LIFE_MS);
  }
}

/** A clock that stands still while this process does: what others sent meanwhile could not be heard. */
export class WakingClock {
  private wakingMs = 0;
  private lastMs: number | null = null;

  tick(nowMs: number): void {
    this.wakingMs = this.at(nowMs);
    this.lastMs = nowMs;
  }

  /** 0 before the first tick: since when this process waits is not known. */
  at(nowMs: number): number {
    if (this.lastMs === null) return this.wakingMs;
    return this.wakingMs + Math.min(nowMs - this.lastMs, LONGEST_STEP_MS);
  }
}
