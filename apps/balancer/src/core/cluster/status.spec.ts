import fc from 'fast-check';
import type { ClusterStatus } from '#common/contracts/commands';
import { Cluster } from './cluster';
import { PUBLISHED_HASH } from './hash-ring';
import { Shard } from './shard';
import { arcsOf, statusOf } from './status';

test('the arcs of a ring name every slot once, with its owner, and no two neighbours have the same', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 40 }), (slots) => {
      const arcs = arcsOf(slots);
      const unrolled = arcs.flatMap(({ from, to, server }) => Array.from({ length: to - from + 1 }, () => server));
      expect(unrolled).toEqual(slots);
      arcs.slice(1).forEach((arc, index) => {
        expect(arc.from).toBe((arcs[index]?.to ?? NaN) + 1);
        expect(arc.server).not.toBe(arcs[index]?.server);
      });
    }),
  );
});

describe('/status', () => {
  const SETTINGS = { balancerId: 'B1', loadEpsilon: 0.25 };
  const SUSPICION = { misses: 1, diskFreeBytes: 0, eventLoopMs: 50, answerMs: 40, answerFactor: 4, pings: 3 };

  function clusterOf(...servers: string[]): { cluster: Cluster; shard: Shard } {
    const cluster = new Cluster(3, SUSPICION, PUBLISHED_HASH);
    for (const name of servers) cluster.addServer(name, Number(name.slice(1))).starting = false;
    const config = { shard: 'a', low: 0, size: 10, configEpoch: 1, configVersion: 1, configId: 1 };
    const shard = new Shard({ ...config, replicas: servers, joining: [], inSync: servers }, true);
    cluster.addShard(shard);
    return { cluster, shard };
  }
  const show = (cluster: Cluster): ClusterStatus => statusOf(cluster, SETTINGS, 'quadratic', 1_000);

  test('says why there is nothing to serve only where data were found without a configuration', () => {
    const { cluster } = clusterOf();
    expect(show(cluster)).not.toHaveProperty('unconfigured');
    cluster.foundData = 'S1 holds data';
    expect(show(cluster).unconfigured?.message).toContain('S1 holds data');
  });

  test('shows the rows of the first member that has reported any, and nothing as long as none has', () => {
    const { cluster, shard } = clusterOf('S0', 'S1');
    expect(show(cluster).shards[0]?.rows).toBeNull();
    shard.replicas.get('S1')!.rows = 7;
    expect(show(cluster).shards[0]?.rows).toBe(7);
  });

  test('shows since when a replica is known to be like another one', () => {
    const { cluster, shard } = clusterOf('S0', 'S1');
    shard.prove('S1', { ms: 400, vat: 3 });
    expect(show(cluster).shards[0]?.replicas.map(({ proven }) => proven)).toEqual([null, { vat: 3, ageMs: 600 }]);
  });

  test('shows how long ago a server answered, and what it is suspected of as long as it is not given up', () => {
    const { cluster } = clusterOf('S0', 'S1');
    cluster.servers.get('S1')!.lastAnswerMs = 300;
    cluster.detector.missed('S1', cluster.detector.nextPing('S1', 0));
    const shown = (): unknown[] =>
      show(cluster).servers.map(({ heartbeatAgeMs, health, causes, missed }) => [
        heartbeatAgeMs,
        health,
        causes,
        missed,
      ]);
    expect(shown()).toEqual([
      [null, 'healthy', [], 0],
      [700, 'suspect', ['missed'], 1],
    ]);
    cluster.servers.get('S1')!.dead = true;
    expect(shown()[1]).toEqual([700, 'dead', [], 1]);
  });
});
