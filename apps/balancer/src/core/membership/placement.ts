/** Which server holds which shard when nobody said so, and what a server is called when nobody named it. */
import { lowestOf } from '#common/protocol/extremes';
import { randomBelow, shuffled, type Random } from '../kernel/random';

/** Shard ids by server name. */
export type Placement = ReadonlyMap<string, readonly string[]>;

/**
 * Gives shards to servers that have no list of their own. Every shard is brought to `replicas` replicas, those that it
 * has among `existing` counted, as far as there are servers that do not hold it; the servers with the fewest shards
 * come first, ties are broken at random. A server that would stay empty gets one more replica of a shard that has the
 * fewest, since a server is there to be used.
 *
 * @param servers those to give shards to; what they hold in `existing` stays with them
 * @param existing the shards of every server that has some
 * @returns for each of `servers` all of its shards, in the order of `shards`
 */
export function placeShards(
  shards: readonly string[],
  servers: readonly string[],
  existing: Placement,
  replicas: number,
  random: Random,
): Map<string, string[]> {
  const board = new Board(shards, servers, existing);
  for (const shard of shuffled(shards, random)) {
    while (board.replicasOf(shard) < replicas) {
      const server = leastLoaded(board.withoutShard(shard), (name) => board.loadOf(name), random);
      if (server === undefined) break;
      board.place(shard, server);
    }
  }
  for (const server of shuffled(servers, random)) {
    if (board.loadOf(server) > 0) continue;
    const shard = leastLoaded(shards, (id) => board.replicasOf(id), random);
    if (shard !== undefined) board.place(shard, server);
  }
  return board.result();
}

/**
 * The server that gets a shard's replica in place of a removed one. Of the candidates that do not hold the shard it is the one
 * with the fewest shards, the first of several. Undefined when every candidate holds it.
 *
 * @param holders servers that hold the shard
 * @param candidates servers that stay, best first
 * @param load how many shards a server holds; a server that is not named holds none
 */
export function chooseReplacement(
  holders: ReadonlySet<string>,
  candidates: readonly string[],
  load: ReadonlyMap<string, number>,
): string | undefined {
  const free = candidates.filter((server) => !holders.has(server));
  const fewest = lowestOf(free.map((server) => load.get(server) ?? 0));
  return free.find((server) => (load.get(server) ?? 0) === fewest);
}

/** `Server` and a random id of five digits that no taken name has; more digits when those are used up. */
export function unusedServerName(taken: ReadonlySet<string>, random: Random): string {
  let lowest = 10_000;
  for (;;) {
    const ids = 9 * lowest;
    const start = randomBelow(ids, random);
    for (let step = 0; step < ids; step += 1) {
      const name = `Server${lowest + ((start + step) % ids)}`;
      if (!taken.has(name)) return name;
    }
    lowest *= 10;
  }
}

/** Names for servers that nobody named: `Server0`, `Server1`, …, those that are taken left out. */
export function missingServerNames(count: number, taken: ReadonlySet<string>): string[] {
  const names: string[] = [];
  for (let id = 0; names.length < count; id += 1) {
    const name = `Server${id}`;
    if (!taken.has(name)) names.push(name);
  }
  return names;
}

/** One of the items with the smallest load, at random. */
function leastLoaded(items: readonly string[], loadOf: (item: string) => number, random: Random): string | undefined {
  const fewest = lowestOf(items.map(loadOf));
  const best = items.filter((item) => loadOf(item) === fewest);
  return best[randomBelow(best.length, random)];
}

/** Who holds what while shards are being placed. */
class Board {
  private readonly held = new Map<string, Set<string>>();
  private readonly counts = new Map<string, number>();

  constructor(
    private readonly shards: readonly string[],
    private readonly servers: readonly string[],
    existing: Placement,
  ) {
    for (const server of servers) this.held.set(server, new Set(existing.get(server)));
    for (const shard of [...existing.values()].flat()) this.counts.set(shard, this.replicasOf(shard) + 1);
  }

  replicasOf(shard: string): number {
    return this.counts.get(shard) ?? 0;
  }

  loadOf(server: string): number {
    return this.held.get(server)?.size ?? 0;
  }

  withoutShard(shard: string): string[] {
    return this.servers.filter((server) => this.held.get(server)?.has(shard) !== true);
  }

  place(shard: string, server: string): void {
    this.held.get(server)?.add(shard);
    this.counts.set(shard, this.replicasOf(shard) + 1);
  }

  result(): Map<string, string[]> {
    return new Map(
      this.servers.map((server) => [server, this.shards.filter((shard) => this.held.get(server)?.has(shard) === true)]),
    );
  }
}
