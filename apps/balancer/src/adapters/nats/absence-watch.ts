/**
 * Whether a server's process is gone, or only seems to be. "Nobody listens" is what NATS says at once of a process that has ended; but
 * so it does for a moment of one that lives, when its connection or, in a cluster of NATS servers, a route between them was
 * lost. A replica would leave its in-sync sets for that. So it is believed only when it has been said again and again for some time.
 */
import type { NatsConnection } from '#common/nats/connection';

/** With one NATS server: a connection that was lost is known by its end, so that it is soon clear. */
const ALONE_MS = 50;
/** In a cluster: a route that was lost is tried again every second. */
const CLUSTER_MS = 2_000;
/** What was said longer ago than this says nothing about the time since. */
const MEMORY_MS = 1_500;

interface Absence {
  sinceMs: number;
  lastMs: number;
}

export class AbsenceWatch {
  private readonly absences = new Map<string, Absence>();

  /** @param confirmMs for how long nobody must have listened; unless given, by the kind of NATS */
  constructor(
    private readonly nats: Pick<NatsConnection, 'info'>,
    private readonly confirmMs?: number,
  ) {}

  /** Nobody listens at this moment. Returns since when that is so if it is certain by now, else null. */
  missing(server: string, nowMs: number): number | null {
    const before = this.absences.get(server);
    const sinceMs = before === undefined || nowMs - before.lastMs > MEMORY_MS ? nowMs : before.sinceMs;
    this.absences.set(server, { sinceMs, lastMs: nowMs });
    return nowMs - sinceMs >= this.patienceMs ? sinceMs : null;
  }

  /** Somebody listens. */
  present(server: string): void {
    this.absences.delete(server);
  }

  private get patienceMs(): number {
    const isCluster = (this.nats.info?.connect_urls?.length ?? 0) > 1 || this.nats.info?.cluster !== undefined;
    return this.confirmMs ?? (isCluster ? CLUSTER_MS : ALONE_MS);
  }
}
