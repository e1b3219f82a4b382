/** What is made of a server that is suspect: who is read from, where copies go, and which events are published. */
import type { RangeRead } from '#common/contracts/commands';
import type { PingReply } from '#common/contracts/node';
import { Catalog } from '../cluster/catalog';
import { Cluster } from '../cluster/cluster';
import { ClusterNews } from '../cluster/cluster-news';
import { CopyRequests } from '../healing/copy-requests';
import { StepContext } from '../kernel/step-context';
import { Divergence } from '../replicas/divergence';
import type { Effect } from '../kernel/effects';
import { PUBLISHED_HASH } from '../cluster/hash-ring';
import { Health } from '../healing/health';
import { InSyncSets } from '../replicas/in-sync-sets';
import { Patience } from './patience';
import { Reader } from '../requests/reader';
import { Recovery } from '../healing/recovery';
import type { CoreSettings } from './core-settings';
import { Shard } from '../cluster/shard';
import { Writer } from '../requests/writer';

const SERVERS = ['Server0', 'Server1', 'Server2'];
const SETTINGS: CoreSettings = {
  ...{ balancerId: 'balancer', instance: 'instance', leaseMs: 3000, heartbeatIntervalMs: 100, heartbeatMisses: 4 },
  suspicion: { misses: 1, diskFreeBytes: 1000, eventLoopMs: 50, answerMs: 50, answerFactor: 4, pings: 3 },
  patience: { floorMs: 500, pauseMs: 1_000, longestPauseMs: 60_000 },
  ...{ nodeStartMs: 1000, queueLimit: 10, queueWaitMs: 100, roundBytes: 1000, roundRequests: 10, loadEpsilon: 0.25 },
  ...{
    snapshotLeaseMs: 1000,
    tombstoneHorizonMs: 1000,
    operationHorizonMs: 1000,
    catchupGapTerms: 5,
    copyBytesPerS: 0,
  },
  ...{ adminWaitMs: 1000, scrubIntervalMs: 0, defaultReplicas: 3 },
};

/** A leader of one shard on three servers, with the world around it in the hands of the test. */
class World {
  readonly context = new StepContext();
  readonly cluster = new Cluster(SETTINGS.heartbeatMisses, SETTINGS.suspicion, PUBLISHED_HASH);
  readonly reader: Reader;
  private readonly health: Health;
  readonly published: string[] = [];

  constructor() {
    const { context, cluster } = this;
    const unexpected = (why: unknown): never => {
      throw new Error(`stepped down: ${JSON.stringify(why)}`);
    };
    const catalog = new Catalog(context, unexpected);
    const inSyncSets = new InSyncSets(context, cluster, catalog);
    const divergence = new Divergence(context, cluster, inSyncSets);
    const patience = new Patience(SETTINGS.patience);
    const writer = new Writer(context, cluster, inSyncSets, divergence, SETTINGS, patience, unexpected);
    const requests = new CopyRequests(context, cluster);
    const recovery = new Recovery(context, cluster, inSyncSets, divergence, writer, patience, SETTINGS, requests);
    this.health = new Health(
      context,
      cluster,
      inSyncSets,
      recovery,
      patience,
      SETTINGS,
      new ClusterNews(context, cluster, catalog, SETTINGS),
      unexpected,
      unexpected,
    );
    this.reader = new Reader(context, cluster, SETTINGS, unexpected);
    SERVERS.forEach((name, number) => (cluster.addServer(name, number).starting = false));
    const range = { shard: 'sh1', low: 0, size: 100 };
    const config = { configId: 0, configEpoch: 1, configVersion: 1, inSync: SERVERS, replicas: SERVERS, joining: [] };
    cluster.addShard(new Shard({ ...range, ...config }, true));
    cluster.phase = 'serving';
  }

  /** One heartbeat of every server; answers of those named in `signs` differ from what is well, null is none. */
  beat(signs: Record<string, Partial<PingReply> | null> = {}): void {
    this.context.nowMs += SETTINGS.heartbeatIntervalMs;
    this.health.tick();
    for (const effect of this.take()) {
      if (effect.do !== 'ping') continue;
      const reported = signs[effect.server];
      if (reported === null) {
        const error = { code: 'OUTCOME_UNKNOWN' as const, message: 'silent', retryable: false };
        this.context.deliver(effect.token, { ok: false, error });
      } else this.context.deliver(effect.token, { ok: true, value: { ...WELL, server: effect.server, ...reported } });
    }
    this.take();
  }

  /** Which servers so many reads of one key go to. */
  readKeys(count: number): Set<string> {
    const asked = new Set<string>();
    for (let id = 0; id < count; id += 1) {
      this.reader.read({ batch: 1, id, low: 5, high: 5 });
      for (const effect of this.take()) {
        if (effect.do !== 'readOne') continue;
        asked.add(effect.server);
        this.context.deliver(effect.token, { ok: true, value: null });
      }
    }
    this.take();
    return asked;
  }

  /** Whom a reader of a range is to ask, best first. */
  readRange(): string[] {
    this.reader.read({ batch: 1, id: 1, low: 0, high: 99 });
    const answer = this.take().find((effect) => effect.do === 'answer');
    return (answer?.answered.result as unknown as RangeRead).plan.parts[0]?.servers ?? [];
  }

  private take(): Effect[] {
    const effects = this.context.takeEffects();
    for (const effect of effects) {
      if (effect.do === 'publish') this.published.push(`${effect.event.kind} ${effect.event.subject}`);
    }
    return effects;
  }
}

const WELL: PingReply = {
  ...{ server: '', instance: 'i', uptimeMs: 1, postgres: 'ok', diskFreeBytes: 9999, eventLoopDelayMs: 1 },
  ...{ epoch: 0, configId: 0, cluster: null, shards: [] },
};

describe('a suspect server', () => {
  let world: World;

  beforeEach(() => {
    world = new World();
    // Nothing is held by anybody yet, and nothing has to be.
    world.cluster.shards.get('sh1')!.decided = false;
    world.beat();
  });

  it('is read from by nobody while others serve, neither for one key nor for a range', () => {
    expect(world.readKeys(200)).toEqual(new Set(SERVERS));
    world.beat({ Server1: { postgres: 'down' } });
    expect(world.cluster.health('Server1')).toBe('suspect');
    expect(world.readKeys(200)).toEqual(new Set(['Server0', 'Server2']));
    for (let i = 0; i < 20; i += 1) expect(world.readRange().at(-1)).toBe('Server1');
  });

  it('is read from when all are suspect', () => {
    world.beat({ Server0: { diskFreeBytes: 1 }, Server1: { postgres: 'down' }, Server2: null });
    expect(world.readKeys(200)).toEqual(new Set(SERVERS));
    expect(world.readRange().sort()).toEqual(SERVERS);
  });

  it('is published once when it becomes suspect, of something else, and of nothing any more', () => {
    for (let i = 0; i < 3; i += 1) world.beat({ Server2: { diskFreeBytes: 1 } });
    for (let i = 0; i < 2; i += 1) world.beat({ Server2: { diskFreeBytes: 1, postgres: 'down' } });
    for (let i = 0; i < 6; i += 1) world.beat();
    expect(world.published).toEqual(['server.suspect Server2', 'server.suspect Server2', 'server.healthy Server2']);
  });

  it.each<[string, Partial<PingReply> | null, boolean]>([
    ['misses a heartbeat', null, false],
    ['has no Postgres', { postgres: 'down' }, false],
    ['has no room', { diskFreeBytes: 1 }, false],
    ['is merely late', { eventLoopDelayMs: 500 }, true],
  ])('that %s: whether copies are made to it', (_name, signs, expected) => {
    for (let i = 0; i < 3; i += 1) world.beat({ Server0: signs });
    expect(world.cluster.health('Server0')).toBe('suspect');
    expect(world.cluster.mayReceiveCopies('Server0')).toBe(expected);
    expect(world.cluster.mayReceiveCopies('Server1')).toBe(true);
  });

  it('gets copies again as soon as its Postgres answers, although it is still suspect', () => {
    world.beat({ Server0: { postgres: 'down' } });
    world.beat();
    expect(world.cluster.health('Server0')).toBe('suspect');
    expect(world.cluster.mayReceiveCopies('Server0')).toBe(true);
  });
});
