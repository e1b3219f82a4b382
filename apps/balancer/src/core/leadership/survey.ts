/**
 * What a new leader finds: the cluster's newest record, in the catalog or on a server, and whether the catalog is to be believed.
 *
 * The catalog is not the truth: its disk may be lost, or an older copy of it put back. So every server that can be found is asked,
 * whether the catalog names it or not. The launcher has data of some, others answer a broadcast, or some record names them. Each
 * is fenced by that, and reports what it holds.
 */
import type { ClusterRecord, FenceReply } from '#common/contracts/node';
import { compareClusters, hasForgotten, type Reign } from '#common/protocol/bucket-history';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import type { Health } from '../healing/health';
import type { CoreSettings } from '../detection/core-settings';
import { all, first, spawn, running, Signal, wait, type Workflow } from '../kernel/workflow';

/** Where most servers of the catalog's record have answered, it is not likely to be wrong: the others are waited for so long. */
const LOOK_MS = 500;
/** Before a server that could not be started is started again. */
const RESTART_PAUSE_MS = 1000;
const POLL_MS = 50;

export class Survey {
  /** What each server reported. */
  readonly replies = new Map<string, FenceReply>();
  /** The servers that the launcher has data of. */
  known: readonly string[] = [];
  /** Servers that were started: they need some time. */
  readonly started = new Set<string>();
  private readonly asked = new Set<string>();
  private readonly silent = new Set<string>();
  private readonly progress = new Signal();
  private isOver = false;

  /** @param late called for a server that answers only after the survey */
  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly health: Health,
    private readonly settings: Pick<CoreSettings, 'nodeStartMs'>,
    private readonly late: (server: string, reply: FenceReply) => void,
  ) {}

  /**
   * Asks around, within the time of grace. Servers that do not run are started where there are data of theirs; and without a record
   * in the catalog also those that are only heard of.
   *
   * @returns the newest record that there is
   */
  *look(stored: ClusterRecord | null): Workflow<ClusterRecord | null> {
    const sinceMs = this.context.nowMs;
    const { nodeStartMs: graceMs } = this.settings;
    const [known, present] = yield* wait(all([running(this.listed()), running(this.present())]));
    this.known = known ?? [];
    for (const server of this.known) this.ask(server, true);
    for (const server of stored?.servers ?? []) this.ask(server, false);
    for (const server of present ?? []) this.ask(server, false);
    for (;;) {
      const newest = this.newest(stored);
      for (const server of newest?.servers ?? []) this.ask(server, stored === null);
      const areAllDone = [...this.asked].every((server) => this.replies.has(server) || this.silent.has(server));
      const isEnough = stored !== null && this.hasMost(stored) && this.context.nowMs >= sinceMs + LOOK_MS;
      if (areAllDone || isEnough || this.context.nowMs >= sinceMs + graceMs) {
        this.isOver = true;
        return newest;
      }
      yield* wait(first([this.progress.next(), this.context.sleep(POLL_MS)]));
    }
  }

  /** Who is asked and has reported nothing yet. */
  get awaited(): string[] {
    if (this.isOver) return [];
    return [...this.asked].filter((server) => !this.replies.has(server) && !this.silent.has(server));
  }

  /** Somebody knows what the catalog does not know, so that it was lost or rolled back: nothing in it counts by itself. */
  isForgetful(stored: ClusterRecord | null, history: readonly Reign[]): boolean {
    const replies = [...this.replies.values()];
    if (stored === null) return replies.some(({ configId }) => configId > 0);
    return replies.some(
      ({ mark, cluster }) =>
        (mark !== null && hasForgotten(history, mark)) || (cluster !== null && compareClusters(cluster, stored) > 0),
    );
  }

  /** Without a record: who holds data of a configuration all the same, or may do so. Null when nobody does. */
  foundData(): string | null {
    const holders = [...this.replies].filter(([, { configId }]) => configId > 0).map(([server]) => server);
    if (holders.length > 0) {
      return `${holders.join(', ')} hold data of a configuration whose record has not been found`;
    }
    const silent = this.known.filter((server) => !this.replies.has(server));
    return silent.length === 0 ? null : `${silent.join(', ')} may hold data and do not answer`;
  }

  private hasMost({ servers }: ClusterRecord): boolean {
    return servers.filter((server) => this.replies.has(server)).length > servers.length / 2;
  }

  private newest(stored: ClusterRecord | null): ClusterRecord | null {
    const records = [...this.replies.values()].map(({ cluster }) => cluster).filter((cluster) => cluster !== null);
    return records.reduce(
      (best, cluster) => (best === null || compareClusters(cluster, best) > 0 ? cluster : best),
      stored,
    );
  }

  private *listed(): Workflow<readonly string[]> {
    for (;;) {
      const outcome = yield* wait(this.context.ask('listNodes', {}));
      if (outcome.ok || this.cluster.phase === 'steppedDown') return outcome.ok ? outcome.value : [];
      yield* wait(this.context.sleep(POLL_MS));
    }
  }

  private *present(): Workflow<readonly string[]> {
    const outcome = yield* wait(this.context.ask('census', {}));
    return outcome.ok ? outcome.value.map(({ server }) => server) : [];
  }

  private ask(server: string, mayStart: boolean): void {
    if (this.asked.has(server)) return;
    this.asked.add(server);
    spawn(this.fence(server, mayStart), (reply) => {
      if (reply === null) this.silent.add(server);
      else this.replies.set(server, reply);
      if (reply !== null && this.isOver) this.late(server, reply);
      this.progress.raise();
    });
  }

  private *fence(server: string, mayStart: boolean): Workflow<FenceReply | null> {
    const reply = yield* this.health.awaitNode(server, 0);
    if (reply !== null || !mayStart) return reply;
    while (!this.isOver || this.cluster.phase === 'unconfigured') {
      this.started.add(server);
      const started = yield* wait(this.context.ask('startNode', { server }));
      const answer = started.ok ? yield* this.health.awaitNode(server, this.settings.nodeStartMs) : null;
      if (answer !== null) return answer;
      yield* wait(this.context.sleep(RESTART_PAUSE_MS));
    }
    return null;
  }
}
