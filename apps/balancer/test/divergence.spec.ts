/** Replicas whose disks are changed behind their backs, in the simulated world: found, named, and healed. */
import { Bench, FENCED, VAT } from './support/bench';
import { HIGH, SHARD, SmallWorld as World, type Version } from './support/small-world';

const DAMAGES: [what: string, keys: number[], damage: (disk: Map<string, Version>) => void][] = [
  [
    'a row was changed',
    [3],
    (disk) => {
      replace(disk, 3, (version) => ({ ...version, row: '{"id":3,"mark":"forged"}' }));
    },
  ],
  [
    'a record was deleted',
    [0],
    (disk) => {
      replace(disk, 0, () => null);
    },
  ],
  [
    'a record was added',
    [HIGH],
    (disk) => disk.set('9/2', { key: 9, cat: 2, dat: Infinity, row: '{"id":9,"mark":"x"}' }),
  ],
  [
    'a term was changed',
    [5],
    (disk) => {
      replace(disk, 5, (version) => ({ ...version, cat: version.cat - 1 }));
    },
  ],
  [
    'everything is gone',
    [0, 1, 2, 3, 4, 5],
    (disk) => {
      disk.clear();
    },
  ],
];

function replace(disk: Map<string, Version>, key: number, change: (version: Version) => Version | null): void {
  for (const [name, version] of [...disk]) {
    if (version.key !== key) continue;
    disk.delete(name);
    const changed = change(version);
    if (changed !== null) disk.set(`${key}/${changed.cat}`, changed);
  }
}

test.each(DAMAGES)(
  'on one of three replicas %s: it is found, the keys are named, and it is healed',
  async (_what, keys, damage) => {
    const world = await World.of(3);
    await world.pass(1_200);
    expect(world.divergences).toEqual([]);
    const expected = world.living('S0');
    damage(world.disk('S1'));
    await world.until(() => world.divergences.length > 0);
    await world.until(() => world.isWhole());
    expect(world.divergences).toHaveLength(1);
    const [found] = world.divergences;
    expect(found).toMatchObject({ server: 'S1', hasMajority: true, differing: keys.length, complete: true });
    expect(found?.keys.map(({ key }) => key)).toEqual(keys);
    expect(found?.agreeing.sort()).toEqual(['S0', 'S2']);
    expect(world.living('S1')).toEqual(expected);
    world.expectAlike();
    await world.write(7);
    await world.pass(2_500);
    expect(world.divergences).toHaveLength(1);
  },
);

test.each(DAMAGES)('on one of two replicas %s: the side with more records serves on', async (_what, keys, damage) => {
  const world = await World.of(2);
  damage(world.disk('S1'));
  const [count, other] = [world.living('S1').length, world.living('S0').length];
  await world.until(() => world.divergences.length > 0);
  await world.until(() => world.isWhole());
  const [found] = world.divergences;
  expect(found).toMatchObject({ server: count > other ? 'S0' : 'S1', hasMajority: false });
  expect(found?.keys.map(({ key }) => key)).toEqual(keys);
  world.expectAlike();
  expect(world.living('S0')).toHaveLength(Math.max(count, other));
});

test('where too few are left the replica serves nothing, and the shard takes no write, until it is healed', async () => {
  const world = await World.of(3);
  const { cluster } = world.balancer;
  world.network.cut('L1', 'S2', 60_000);
  await world.until(() => !world.shard.inSync.includes('S2'));
  replace(world.disk('S1'), 3, () => null);
  await world.until(() => world.shard.replicas.get('S1')?.suspended === true);
  expect(world.shard.inSync).toEqual(['S0', 'S1']);
  expect(cluster.serving(world.shard)).toEqual(['S0']);
  expect(cluster.isWritable(world.shard)).toBe(false);
  world.network.heal();
  await world.until(() => world.isWhole(), 10_000);
  expect(world.divergences[0]).toMatchObject({ server: 'S1', hasMajority: false, differing: 1 });
  expect(world.living('S1').map(({ key }) => key)).toEqual([0, 1, 2, 3, 4, 5]);
  world.expectAlike();
});

test('a leader that takes over knows of a replica that diverged and is not healed yet', async () => {
  const world = await World.of(3);
  world.network.cut('L1', 'S2', 60_000);
  await world.until(() => !world.shard.inSync.includes('S2'));
  replace(world.disk('S1'), 3, () => null);
  await world.until(() => world.shard.record.diverged?.includes('S1') === true);
  world.balancer.crash();
  world.balancer = world.newBalancer('L2');
  await world.until(() => world.balancer.isServing, 10_000);
  expect(world.balancer.cluster.serving(world.shard)).not.toContain('S1');
  await world.until(() => world.isWhole(), 10_000);
  expect(world.shard.record.diverged).toEqual([]);
  world.expectAlike();
  expect(world.living('S1').map(({ key }) => key)).toEqual([0, 1, 2, 3, 4, 5]);
});

test('a replica that does something else with a round is out before the round is answered, and its key is named', async () => {
  const world = await World.of(3);
  replace(world.disk('S1'), 3, () => null);
  const row = JSON.stringify({ id: 3, mark: 'new' });
  expect(await world.change({ op: 'update', key: 3, row })).not.toHaveProperty('error');
  expect(world.shard.inSync).toEqual(['S0', 'S2']);
  await world.until(() => world.isWhole());
  expect(world.divergences).toHaveLength(1);
  expect(world.divergences[0]).toMatchObject({ server: 'S1', hasMajority: true, differing: 1, roundKeys: [3] });
  expect(world.divergences[0]?.keys.map(({ key }) => key)).toEqual([3]);
  expect(world.living('S1').find(({ key }) => key === 3)?.row).toBe(row);
  world.expectAlike();
});

test('of two replicas that did different things with a round, the one that knows the record prevails', async () => {
  for (const damaged of ['S0', 'S1']) {
    const world = await World.of(2);
    replace(world.disk(damaged), 3, () => null);
    const row = JSON.stringify({ id: 3, mark: 'new' });
    expect(await world.change({ op: 'update', key: 3, row })).not.toHaveProperty('error');
    await world.until(() => world.isWhole());
    expect(world.divergences[0]).toMatchObject({ server: damaged, hasMajority: false, differing: 1, roundKeys: [3] });
    world.expectAlike();
  }
});

test('two that differ are left alone as long as the third, who has a word in it, does not answer', async () => {
  const world = await World.of(3);
  const call = world.replicas.call.bind(world.replicas);
  let isDeaf = true;
  world.replicas.call = (asked, done) => {
    const isDigest = asked.label().startsWith('digest');
    if (isDeaf && isDigest && asked.server === 'S0') {
      done({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'too slow', retryable: false } });
    } else call(asked, done);
  };
  replace(world.disk('S1'), 3, () => null);
  await world.pass(3_000);
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  isDeaf = false;
  await world.until(() => world.divergences.length > 0, 10_000);
  expect(world.divergences[0]).toMatchObject({ server: 'S1', hasMajority: true });
});

test('a replica that has forgotten what became of an operation is found as well', async () => {
  const world = await World.of(3);
  const { disk } = world.replicas.server('S1');
  const { records } = (disk as unknown as { contents: { records: Map<string, readonly object[]> } }).contents;
  expect(records.get(SHARD)).toHaveLength(6);
  records.set(SHARD, records.get(SHARD)!.slice(1));
  await world.until(() => world.divergences.length > 0);
  expect(world.divergences[0]).toMatchObject({ server: 'S1', hasMajority: true, differing: 0, complete: true });
  await world.until(() => world.isWhole());
  const { contents } = disk as unknown as { contents: { records: Map<string, readonly object[]> } };
  expect(contents.records.get(SHARD)).toHaveLength(6);
});

test('nothing is copied over what a replica holds before that has been looked at', async () => {
  const world = await World.of(3);
  world.slowDown('digest', world.servers, 150);
  replace(world.disk('S1'), 3, () => null);
  await world.until(() => world.divergences.length > 0);
  expect(world.divergences[0]).toMatchObject({ server: 'S1', differing: 1, complete: true });
  await world.until(() => world.isWhole());
  world.expectAlike();
});

test('what was copied from a replica that then turns out to be wrong is not relied on', async () => {
  const world = await World.of(3);
  world.network.cut('L1', 'S2', 60_000);
  await world.until(() => !world.shard.inSync.includes('S2'));
  world.replicas.server('S2').kill();
  world.replicas.server('S2').wipe();
  world.slowDown('catchup', ['S2'], 400);
  world.slowDown('catchup', ['S0'], 1_500);
  replace(world.disk('S0'), 3, () => null);
  world.network.heal();
  await world.until(() => world.copying.includes('S0>S2'));
  world.balancer.dispatch({ on: 'admin', command: { request: 2, op: 'scrub' } });
  await world.until(() => world.shard.replicas.get('S0')?.suspended === true);
  await world.until(() => world.isWhole(), 20_000);
  for (const server of world.servers) {
    expect(world.living(server).map(({ key }) => key)).toEqual([0, 1, 2, 3, 4, 5]);
  }
});

test('proofs say when and at which VAT, and are kept by whoever was compared', async () => {
  const world = await World.of(3);
  const vat = world.shard.vat;
  await world.until(() => world.shard.replicas.get('S0')?.proven !== null);
  for (const server of world.servers) {
    expect(world.shard.replicas.get(server)?.proven).toEqual({ ms: world.balancer.nowMs, vat });
  }
});

test('what may have been read from a replica that turns out to be wrong is not confirmed', async () => {
  const world = await World.of(3);
  const readAll = async (): Promise<number> => {
    const answer = await world.change({ op: 'read', low: 0, high: HIGH });
    return (answer as { plan: { snapshotLease: number } }).plan.snapshotLease;
  };
  const isConfirmed = (snapshotLease: number): boolean =>
    world.balancer.snapshotLeases({ release: [], renew: [snapshotLease] })?.unknown.length === 0;
  const before = await readAll();
  expect(isConfirmed(before)).toBe(true);
  replace(world.disk('S1'), 3, (version) => ({ ...version, row: '{"id":3,"mark":"forged"}' }));
  await world.until(() => world.divergences.length > 0);
  expect(isConfirmed(before)).toBe(false);
  await world.until(() => world.isWhole());
  expect(isConfirmed(await readAll())).toBe(true);
});

test('a comparison that one of them does not finish is published, and does not count as one', async () => {
  const world = await World.of(3);
  let isSilent = true;
  world.intercept = (ask, answer) => {
    // Its first page comes, the others do not.
    const isAnswered = ask.do !== 'digest' || ask.server !== 'S1' || ask.request.after === undefined;
    if (isAnswered || !isSilent) return false;
    world.scheduler.after(50, () => {
      answer({ ok: false, error: { code: 'OUTCOME_UNKNOWN', message: 'too slow', retryable: false } });
    });
    return true;
  };
  await world.until(() => world.events.some(({ kind }) => kind === 'shard.unproven'), 10_000);
  const [unproven] = world.events.filter(({ kind }) => kind === 'shard.unproven');
  expect(unproven?.data).toMatchObject({ missing: ['S1'] });
  expect(world.shard.replicas.get('S1')?.proven).toBeNull();
  expect(world.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  isSilent = false;
  await world.until(() => world.shard.replicas.get('S1')?.proven !== null, 10_000);
});

describe('who is right', () => {
  function bench(...digests: string[]): Bench {
    const made = new Bench(digests.length);
    for (const [index, digest] of digests.entries()) made.node(`S${index}`).digest = digest;
    return made;
  }
  const areAlike = (made: Bench, silent: string[] = []): boolean | undefined => {
    made.answer = (ask) => (ask.do === 'digest' && silent.includes(ask.server) ? FENCED : undefined);
    return made.begin(made.divergence.areMembersAlike(made.shard, VAT)).result;
  };

  it('is known where more than half of the members show the same, and none anything else', () => {
    const made = bench('1', '1', '1');
    expect(areAlike(made, ['S2'])).toBe(true);
    expect(areAlike(made, ['S1', 'S2'])).toBe(false);
    expect(made.shard.record.disputed).toBeUndefined();
  });

  it.each<[string, string[], string[]]>([
    ['one of them shows something else, though most agree', ['1', '1', '2'], []],
    ['two of them differ, and the third is silent', ['1', '2', '1'], ['S2']],
  ])(
    'is open where %s: nobody enters the set, and what was copied until now is not relied on',
    (_, digests, silent) => {
      const made = bench(...digests);
      made.context.nowMs = 9;
      expect(areAlike(made, silent)).toBe(false);
      expect(made.shard.record.disputed).toBe(true);
      expect(made.shard.divergedMs).toBe(9);
      expect(made.shard.inSync).toEqual(['S0', 'S1', 'S2']);
    },
  );

  it.each<[boolean, string]>([
    [true, 'it differs from those that count'],
    [false, 'there is no majority'],
  ])('is published with what was found: with a majority %s', (hasMajority, verdict) => {
    const made = bench('1', '1', '2');
    const { shard } = made;
    const sides = { agreeing: ['S0', 'S1'], diverged: ['S2'], hasMajority };
    made.begin(made.divergence.quarantine({ ...sides, shard, vat: VAT, cause: 'a test' }));
    const [found] = made.published('shard.diverged');
    expect(found?.data).toMatchObject({ server: 'S2', hasMajority, differing: 1, complete: true });
    expect(found?.data.verdict).toMatch(verdict);
  });

  it('is published without keys where nobody is left to compare with', () => {
    const made = bench('1', '2');
    const { shard } = made;
    const sides = { agreeing: [], diverged: ['S1'], hasMajority: false };
    made.begin(made.divergence.quarantine({ ...sides, shard, vat: VAT, cause: 'a test' }));
    expect(made.published('shard.diverged')).toMatchObject([{ data: { differing: 0, complete: false, keys: [] } }]);
    expect(made.asked('digest')).toEqual([]);
  });
});
