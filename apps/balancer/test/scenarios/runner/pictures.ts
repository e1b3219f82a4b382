/** What replicas hold and what leaders believe, as lines of a story. */
import type { Balancer, StoredVersion, World } from './world';

/** What is on the disks of a shard's servers; those that hold the same stand together. */
export async function pictureOfReplicas(world: World, shard: string): Promise<string[]> {
  const bySight = new Map<string, string[]>();
  for (const server of world.servers) {
    const sight = await pictureOfDisk(world, server, shard);
    if (sight !== null) bySight.set(sight, [...(bySight.get(sight) ?? []), server]);
  }
  return [...bySight].map(([sight, servers]) => `${shard} on ${servers.join(' ')}: ${sight}`);
}

async function pictureOfDisk(world: World, server: string, shard: string): Promise<string | null> {
  const state = (await world.state(server)).shards.get(shard);
  if (state === undefined) return null;
  const { newestRound: round, toldVat, catchUp, purgedTo } = state;
  const name = round === null ? 'no round' : `newest round ${round.epoch}/${round.round}`;
  const facts = [`told VAT ${toldVat}`, name];
  if (purgedTo > 0) facts.push(`purged up to ${purgedTo}`);
  if (catchUp !== null) facts.push('a copy is under way');
  const known = await world.outcomes(server, shard);
  if (known.length > 0) facts.push(`knows ${known.join(' ')}`);
  const versions = (await world.versions(server, shard)).map(describeVersion);
  return `${facts.join(', ')} | ${versions.join(' | ') || 'no versions'}`;
}

function describeVersion({ key, cat, dat, value }: StoredVersion): string {
  return `${key} ${cat} ${dat ?? '∞'} ${value}`;
}

/** By shard: VAT, and who is in sync. */
export function pictureOfLeader({ name, cluster }: Balancer): string[] {
  return cluster.inKeyOrder().map((shard) => {
    const states = [...shard.replicas.keys()].sort().map((server) => `${server} ${shard.stateOf(server)}`);
    return `${name} has ${shard.id} at VAT ${shard.vat}: ${states.join(', ')}`;
  });
}

/** At which VAT each take-over began, as a replica remembers it. */
export async function pictureOfEpochs(world: World, shard: string): Promise<string[]> {
  const lines: string[] = [];
  for (const server of world.servers) {
    const starts = (await world.state(server)).shards.get(shard)?.epochStarts ?? [];
    const told = starts.map(({ epoch, vat }) => `epoch ${epoch} began at VAT ${vat}`);
    lines.push(`${shard} on ${server}: ${told.join(', ') || 'no take-over yet'}`);
  }
  return lines;
}
