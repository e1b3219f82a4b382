/** Rings follow from their servers alone, and every world has the same few: each is built once. */
import { HashRing } from '../../src/core/cluster/hash-ring';

const RINGS_KEPT = 1_000;

/** From now on `HashRing.build` returns the ring that it built of the same servers before. */
export function rememberRings(): void {
  const rings = new Map<string, HashRing>();
  const build = HashRing.build.bind(HashRing);
  HashRing.build = (servers, hash, ...shape) => {
    const name = servers.map((server) => `${server.name}=${server.number}`).join() + hash.server.name + shape.join();
    let ring = rings.get(name);
    if (ring === undefined) {
      if (rings.size >= RINGS_KEPT) rings.clear();
      rings.set(name, (ring = build(servers, hash, ...shape)));
    }
    return ring;
  };
}
