import { documentedBounds } from '../testing/documented-bounds';
import { parseBalancerConfig } from './balancer-config';

/** What must be set as well so that a setting may stand at its bound. */
const BESIDE: Record<string, Record<string, string>> = {
  WRITE_QUEUE_WAIT_MS: { ADMIN_WAIT_MS: '3600000' },
  ADMIN_WAIT_MS: { WRITE_QUEUE_WAIT_MS: '10' },
  HEARTBEAT_INTERVAL_MS: { NODE_START_TIMEOUT_MS: '600000' },
};

it.each(documentedBounds('Balancer'))('takes $name from $min to $max, and nothing beyond', ({ name, min, max }) => {
  const load = (value: number) => (): unknown => parseBalancerConfig({ ...BESIDE[name], [name]: String(value) });
  for (const value of [min, max]) expect(load(value)).not.toThrow();
  for (const value of [min - 1, max + 1]) expect(load(value)).toThrow(`${name} is "${value}"`);
});

it('knows the bounds of nearly every setting', () => {
  expect(documentedBounds('Balancer').length).toBeGreaterThan(25);
});

it.each([
  [{ WRITE_QUEUE_WAIT_MS: '45001' }, 'WRITE_QUEUE_WAIT_MS must not be longer than ADMIN_WAIT_MS'],
  [{ HEARTBEAT_INTERVAL_MS: '30001' }, 'NODE_START_TIMEOUT_MS must be at least HEARTBEAT_INTERVAL_MS'],
])('refuses %j, since the two do not go together', (env, why) => {
  expect(() => parseBalancerConfig(env)).toThrow(why);
});

it.each([
  [{ CLUSTER_NAME: 'a/b' }, 'CLUSTER_NAME is "a/b": a letter or digit'],
  [{ CLUSTER_NAME: '-a' }, 'CLUSTER_NAME is "-a": a letter or digit'],
  [{ CLUSTER_NAME: 'x'.repeat(64) }, 'a letter or digit'],
  [{ DOCKER_MEMORY_BYTES: '268435455' }, 'DOCKER_MEMORY_BYTES is 268435455: a shard-node needs at least 268435456'],
])('refuses %j where shard-nodes are containers, and only there', (env, why) => {
  expect(() => parseBalancerConfig({ ...env, LAUNCHER: 'docker' })).toThrow(why);
  expect(() => parseBalancerConfig(env)).not.toThrow();
});

it('takes containers without a limit, and the least one', () => {
  for (const DOCKER_MEMORY_BYTES of ['0', '268435456']) {
    const env = { LAUNCHER: 'docker', CLUSTER_NAME: 'Cluster_1-a', DOCKER_MEMORY_BYTES };
    expect(() => parseBalancerConfig(env)).not.toThrow();
  }
});
