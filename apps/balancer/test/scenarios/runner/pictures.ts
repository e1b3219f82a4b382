/** What replicas hold and what leaders believe, as lines of a story. */
import type { ShardConfig } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import type { ShardState } from '../../../../shard-node/src/core/replica-state';
import type { Balancer, StoredVersion, World } from './world';

/** What is on the disks of a shard's servers; those that hold the same stand together. */
export function pictureOfReplicas(world: World, shard: string): Promise<string[]> {
  return pictureOf(world, shard, (server, state) => pictureOfDisk(world, server, state));
}

/** At which VAT each take-over began, and which rounds were given up, as the replicas remember it. */
export function pictureOfEpochs(world: World, shard: string): Promise<string[]> {
  return pictureOf(world, shard, async (_server, { epochStarts }) => {
    const starts = epochStarts.map(({ epoch, round, vat }) =>
      round === undefined ? `epoch ${epoch} began at VAT ${vat}` : `given up up to ${epoch}/${round - 1} at VAT ${vat}`,
    );
    return starts.join(', ') || 'no take-over yet';
  });
}

/** Who is in sync, by the bucket and by the replicas; the newest configuration has the highest numbers. */
export async function pictureOfConfigurations(world: World, shard: string): Promise<string[]> {
  const record = world.bucket.get(BUCKET_KEYS.shard(shard))?.value as ShardConfig | undefined;
  const stored = record === undefined ? [] : [`${shard} in the bucket: ${describeConfiguration(record)}`];
  return [...stored, ...(await pictureOf(world, shard, async (_server, state) => describeConfiguration(state)))];
}

type Configuration = Pick<ShardState, 'configEpoch' | 'configVersion' | 'inSync'>;

function describeConfiguration({ configEpoch, configVersion, inSync }: Configuration): string {
  return `configuration ${configEpoch}/${configVersion}, in sync ${[...inSync].sort().join(' ')}`;
}

/** Servers of the shard that give the same sight stand together. */
async function pictureOf(
  world: World,
  shard: string,
  sightOf: (server: string, state: ShardState) => Promise<string>,
): Promise<string[]> {
  const bySight = new Map<string, string[]>();
  for (const server of world.servers) {
    const state = (await world.state(server)).shards.get(shard);
    if (state === undefined) continue;
    const sight = await sightOf(server, state);
    bySight.set(sight, [...(bySight.get(sight) ?? []), server]);
  }
  return [...bySight].map(([sight, servers]) => `${shard} on ${servers.join(' ')}: ${sight}`);
}

async function pictureOfDisk(world: World, server: string, state: ShardState): Promise<string> {
  const { shard, newestRound: round, committedVat, catchUp, purgedTo } = state;
  const name = round === null ? 'no round' : `newest round ${round.epoch}/${round.round}`;
  const facts = [`committed VAT ${committedVat}`, name];
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
    if (!shard.resolved) return `${name} has not decided ${shard.id}`;
    return `${name} has ${shard.id} at VAT ${shard.vat}: ${states.join(', ')}`;
  });
}
