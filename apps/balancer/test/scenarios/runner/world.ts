/**
 * The world of a story: real balancer cores and real replicas among the simulation's parts, without any chance. Everything that
 * the stories need of the simulation is used in this file (and in `still-scheduler.ts`).
 */
import type { NodeReadReply, NodeReadRequest } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { RawLines } from '#common/nats/lines';
import type { ReplicaState } from '../../../../shard-node/src/core/replica-state';
import type { BalancerCore } from '../../../src/core/balancer-core';
import type { Ask, Effect, Result } from '../../../src/core/kernel/effects';
import type { LeaderRecord } from '../../../src/core/leadership/leadership';
import type { CoreSettings } from '../../../src/core/detection/core-settings';
import { SimBalancer, type BalancerMutations } from '../../simulation/balancer';
import { SimCatalog } from '../../simulation/catalog';
import { Network } from '../../simulation/network';
import { Servers, type SimServer } from '../../simulation/servers';
import { Bucket } from './bucket';
import { Post, type Answer, type CarryOut } from './post';
import { StillScheduler } from './still-scheduler';

/** The stories' own, so that they stay as they are when the simulation's change. */
const SETTINGS: Partial<CoreSettings> = {
  leaseMs: 600,
  heartbeatIntervalMs: 150,
  heartbeatMisses: 3,
  nodeStartMs: 1_200,
  queueWaitMs: 600,
  snapshotLeaseMs: 2_000,
  tombstoneHorizonMs: 100_000,
  operationHorizonMs: 100_000,
  catchupGapTerms: 4,
  copyBytesPerS: 0,
  scrubIntervalMs: 0,
};
/** Between an answer of the bucket or the launcher and the question. */
const AWAY_MS = 2;
const READ_TIMEOUT_MS = 200;
const PAGE_BYTES = 1_000;
const READER = 'reader';

export type Balancer = SimBalancer;

/** A version as a replica has it on its disk; `dat` null while it lives. */
export interface StoredVersion {
  key: number;
  cat: number;
  dat: number | null;
  value: string;
}

/** Whoever writes the story. */
export interface Listener {
  /** A balancer's core has taken a step, and this is what it wants. */
  stepped(balancer: Balancer, effects: readonly Effect[]): void;
  /** What a living balancer asked for has come to this; it learns of it now, or when it goes on. */
  outcome(balancer: Balancer, ask: Ask, outcome: Result<unknown>): void;
  /** A round that was held or copied has arrived now, for nobody who waits for it. */
  arrivedLate(from: string, ask: Ask, outcome: Result<unknown>): void;
}

export class World {
  readonly scheduler = new StillScheduler();
  readonly bucket = new Bucket();
  readonly post: Post;
  readonly balancers = new Map<string, Balancer>();
  private readonly network = new Network(this.scheduler);
  private readonly replicas = new Servers(this.scheduler, this.network, true);
  private readonly pausedUntilMs = new Map<string, number>();
  private readonly withoutPower = new Set<string>();
  private readonly settings: Partial<CoreSettings> = { ...SETTINGS };

  constructor(private readonly listener: Listener) {
    this.post = new Post(this.scheduler, (from, ask, outcome) => {
      listener.arrivedLate(from, ask, outcome);
    });
  }

  /** The names of the shard-nodes that there are. */
  get servers(): string[] {
    return [...this.replicas.byName.keys()].sort();
  }

  /** For the balancers that start from now on. */
  set(setting: keyof CoreSettings, value: number): void {
    Object.assign(this.settings, { [setting]: value });
    for (const { core } of this.balancers.values()) Object.assign(settingsOf(core), { [setting]: value });
  }

  startBalancer(name: string): Balancer {
    const catalog = new SimCatalog(this.scheduler, this.network);
    const { scheduler, replicas: servers } = this;
    const mutations: BalancerMutations = {
      patchCore: (core) => {
        Object.assign(settingsOf(core), this.settings);
        const step = core.step.bind(core);
        core.step = (event) => {
          const effects = step(event);
          this.listener.stepped(balancer, effects);
          return effects;
        };
      },
      interceptAsk: (ask, carryOut, answer) => {
        // Nobody is asked for that.
        if (ask.do === 'pause') carryOut(ask, answer);
        else this.deal(balancer, ask, carryOut, answer);
      },
    };
    const world = { scheduler, servers, catalog, watcher: NOBODY, mutations };
    const balancer: Balancer = new SimBalancer(name, world, null);
    this.balancers.set(name, balancer);
    balancer.start();
    return balancer;
  }

  pauseServer(name: string, ms: number): void {
    this.pausedUntilMs.set(name, this.scheduler.nowMs + ms);
    this.server(name).pause(ms);
  }
  killServer(name: string): void {
    this.server(name).kill();
  }
  wipe(name: string): void {
    this.server(name).wipe();
  }
  powerOff(name: string): void {
    this.withoutPower.add(name);
    this.server(name).kill();
  }
  powerOn(name: string): void {
    this.withoutPower.delete(name);
    this.server(name).start();
  }

  /** Reads pages of a server as a gateway does. */
  read(server: string, request: NodeReadRequest, done: (outcome: Result<RawLines<NodeReadReply>>) => void): void {
    const label = (): string => 'read';
    const call = { from: READER, server, label, timeoutMs: READ_TIMEOUT_MS };
    this.replicas.call({ ...call, work: (replica) => replica.read({ ...request, maxBytes: PAGE_BYTES }) }, done);
  }

  /** What is on the server's disk, without the rows. */
  state(server: string): Promise<ReplicaState> {
    return this.server(server).disk.load();
  }

  /** Every version on the server's disk, committed or not, in the order of keys and births. */
  async versions(server: string, shard: string): Promise<StoredVersion[]> {
    const { text } = await this.server(server).disk.copyPage({ shard, from: -1, to: ALL_TERMS }, null, ALL_BYTES);
    return text === '' ? [] : text.split(',\n').map(versionOf);
  }

  /** The ids of the operations whose outcome is on the server's disk, in the order of their terms. */
  async outcomes(server: string, shard: string): Promise<string[]> {
    const { records } = await this.server(server).disk.recordPage({ shard, after: 0, upTo: ALL_TERMS }, ALL_BYTES);
    return records.map(({ id }) => id);
  }

  /** Behind its back: the newest version of the key gets another value on this one disk; with `null` it is gone. */
  async tamper(server: string, shard: string, key: number, value: string | null): Promise<void> {
    const { disk } = this.server(server);
    const { text } = await disk.copyPage({ shard, from: -1, to: ALL_TERMS }, null, ALL_BYTES);
    const line = text.split(',\n').findLast((one) => versionOf(one).key === key);
    if (line === undefined) throw new Error(`${server} has no record ${key}`);
    const { cat } = versionOf(line);
    // A version that dies when it is born is visible to nobody.
    const changed =
      value === null
        ? line.replace(/"dat":\d+/, `"dat":${cat}`)
        : line.replace(/"value":"[^"]*"/, `"value":${JSON.stringify(value)}`);
    await disk.transact(async (transaction) => {
      await transaction.putVersions(shard, { count: 1, text: changed }, false);
    });
  }

  private server(name: string): SimServer {
    return this.replicas.server(name);
  }

  private deal(balancer: Balancer, ask: Ask, carryOut: CarryOut, answer: Answer): void {
    const then: Answer = (outcome) => {
      if (balancer.isAlive) this.listener.outcome(balancer, ask, outcome);
      answer(outcome);
    };
    this.post.send(balancer.name, ask, this.ownPart(ask) ?? carryOut, then);
  }

  /** What the story's world does itself: the bucket, and the launcher, which starts nothing that runs or has no power. */
  private ownPart(ask: Ask): CarryOut | null {
    const later = (work: () => unknown): CarryOut => {
      return (_ask, answer) => {
        this.scheduler.after(AWAY_MS, () => {
          const value = work();
          this.scheduler.after(AWAY_MS, () => {
            answer({ ok: true, value });
          });
        });
      };
    };
    if (ask.do === 'readKey') return later(() => this.bucket.get(ask.key));
    if (ask.do === 'load') return later(() => this.bucket.all());
    if (ask.do === 'store') return later(() => this.store(ask));
    if (ask.do === 'startNode' && !this.mayStart(ask.server)) return later(() => null);
    return null;
  }

  /** All balancers hear at once of a lease that is released. */
  private store({ key, value, expected }: Extract<Ask, { do: 'store' }>): number | null {
    const revision = this.bucket.store(key, value, expected);
    const isReleased = key === BUCKET_KEYS.leader && (value as LeaderRecord).released === true;
    if (revision === null || !isReleased) return revision;
    this.scheduler.after(AWAY_MS, () => {
      for (const balancer of this.balancers.values()) balancer.dispatch({ on: 'leaderChanged' });
    });
    return revision;
  }

  private mayStart(server: string): boolean {
    const isPaused = (this.pausedUntilMs.get(server) ?? 0) > this.scheduler.nowMs;
    return !isPaused && !this.withoutPower.has(server);
  }
}

const ALL_TERMS = Number.MAX_SAFE_INTEGER - 1;
const ALL_BYTES = 1_000_000;

/** The stories look at what the core wants, not at what becomes of it in the simulation. */
const NOBODY = {
  stepped: () => undefined,
  answered: () => undefined,
  administered: () => undefined,
  said: () => undefined,
  applied: () => undefined,
  read: () => undefined,
};

/** All parts of a core share one object of settings. */
function settingsOf(core: BalancerCore): CoreSettings {
  return (core as unknown as { settings: CoreSettings }).settings;
}

function versionOf(line: string): StoredVersion {
  const { id, value, cat } = JSON.parse(line) as { id: number; value: string; cat: number };
  // The largest of all terms, which stands for "alive", is no number that JavaScript can hold.
  const dat = /"dat":(\d+)/.exec(line)?.[1] ?? '';
  return { key: id, cat, dat: dat.length > 16 ? null : Number(dat), value };
}
