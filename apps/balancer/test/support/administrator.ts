/** What an administrator asks of a small world, and what becomes of it. */
import { SHARD, type SmallWorld as World } from './small-world';

/** Longer than an administrator waits. */
const ANSWERED_WITHIN_MS = 15_000;
let nextRequest = 10;

/** @throws when no answer comes */
export async function ask(world: World, command: object): Promise<object> {
  const request = nextRequest++;
  world.balancer.dispatch({ on: 'admin', command: { request, ...command } as never });
  await world.until(() => world.administered.has(request), ANSWERED_WITHIN_MS);
  return world.administered.get(request)!;
}

export function remove(world: World, ...servers: string[]): Promise<object> {
  return ask(world, { op: 'rm', command: { n: servers.length, servers } });
}

export function add(world: World, servers: Record<string, string[]>, newShards: object[] = []): Promise<object> {
  return ask(world, { op: 'add', command: { n: Object.keys(servers).length, newShards, servers } });
}

export function replicasOf(world: World, shard = SHARD): string[] {
  return [...(world.balancer.cluster.shards.get(shard)?.record.replicas ?? [])].sort();
}

/** No copy is made before the returned function is called. */
export function holdCopies(world: World): () => void {
  let isHeld = true;
  world.intercept = (asked, answer) => {
    if (!isHeld || asked.do !== 'catchup') return false;
    world.scheduler.after(100, () => {
      answer({ ok: false, error: { code: 'STORE_FAILED', message: 'not yet', retryable: true } });
    });
    return true;
  };
  return () => {
    isHeld = false;
  };
}
