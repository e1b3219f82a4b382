/** What is neither quite well nor dead: a Postgres that was killed, and a disk that is full. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CloudEvent } from '#common/contracts/events';
import { student, type Row } from '#common/testing/client';
import { sharedCluster } from '#common/testing/cluster-harness';
import type { LocalCluster } from '#common/testing/local-cluster';
import { Load } from './support/load';
import { compareReplicas } from './support/replica-tables';

const MIB = 1024 * 1024;
const KEYS = 1000;
const THREE_SERVERS = {
  N: 3,
  shards: [1, 2].map((number) => ({ Stud_id_low: (number - 1) * KEYS, Shard_id: `sh${number}`, Shard_size: KEYS })),
  servers: { Server0: ['sh1', 'sh2'], Server1: ['sh1', 'sh2'], Server2: ['sh1', 'sh2'] },
};

/** The process of a server's Postgres, if one runs. */
function findPostmaster(cluster: LocalCluster, server: string): number | undefined {
  const isIt = ([program = '', ...args]: string[]): boolean =>
    program.endsWith('/postgres') && args.some((arg) => arg.endsWith(`/${server}/postgres`));
  return cluster.processes().find(({ args }) => isIt(args))?.pid;
}

const sorted = (rows: Iterable<Row>): Row[] => [...rows].sort((a, b) => a.Stud_id - b.Stud_id);

describe('a Postgres that dies', () => {
  const shared = sharedCluster({
    init: THREE_SERVERS,
    env: {
      ...{ HEARTBEAT_INTERVAL_MS: '200', HEARTBEAT_MISSES: '15' },
      ...{ POSTGRES_RESTART_TRIES: '2', POSTGRES_RESTART_PAUSE_MS: '500' },
    },
  });
  const { client, events } = shared;

  test('is started again by its node, under writes, and nobody gets an error', async () => {
    const node = shared.cluster.pidOf('Server1');
    const postmaster = findPostmaster(shared.cluster, 'Server1') ?? NaN;
    const load = new Load(client, 16, 0, 2 * KEYS);
    process.kill(postmaster, 'SIGKILL');
    // On a busy machine a heartbeat may be missed, too.
    const isOfPostgres = ({ data }: CloudEvent): boolean => (data.causes as string[]).includes('postgres');
    const suspect = await events.until('server.suspect', 'Server1', 60_000, isOfPostgres);
    expect(suspect.data).toMatchObject({ postgres: 'down' });
    await events.until('shard.insync', 'sh1/Server1');
    await events.until('shard.insync', 'sh2/Server1');
    await events.until('server.healthy', 'Server1');
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.acknowledged).toBeGreaterThan(0);
    await client.untilWhole();
    expect(events.seen.filter(({ type }) => type.endsWith('flatline'))).toEqual([]);
    expect(shared.cluster.pidOf('Server1')).toBe(node);
    expect(findPostmaster(shared.cluster, 'Server1')).not.toBe(postmaster);
    const { serverDetails } = (await client.ask('GET', '/status')).body;
    expect(serverDetails).toContainEqual(
      expect.objectContaining({
        server: 'Server1',
        health: 'healthy',
        causes: [],
        vitals: expect.objectContaining({ postgres: 'ok', diskFreeBytes: expect.any(Number) as number }) as object,
      }),
    );
    await compareReplicas(shared.cluster, client, sorted(load.expected.values()), KEYS);
  }, 120_000);

  test('again and again takes its node with it, which is replaced then', async () => {
    const before = await client.rows(0, 2 * KEYS);
    const node = shared.cluster.pidOf('Server2');
    const killed = new Set<number>();
    const end = performance.now() + 60_000;
    while (killed.size < 3 && performance.now() < end) {
      const postmaster = findPostmaster(shared.cluster, 'Server2');
      if (postmaster !== undefined && !killed.has(postmaster)) {
        process.kill(postmaster, 'SIGKILL');
        killed.add(postmaster);
      }
      await client.servers();
    }
    // A young process is started again before its flatline, an older one after it.
    const isReplaced = (): boolean => {
      try {
        return shared.cluster.pidOf('Server2') !== node;
      } catch {
        return false;
      }
    };
    while (!isReplaced() && performance.now() < end + 60_000) await client.servers();
    expect(isReplaced()).toBe(true);
    // The old one was suspect at its end; the leader has heard of the new one when it is so no more.
    const isHealthy = async (): Promise<boolean> => {
      const { body } = await client.ask('GET', '/status');
      const details = body.serverDetails as { server: string; health: string }[];
      return details.some(({ server, health }) => server === 'Server2' && health === 'healthy');
    };
    while (!(await isHealthy()) && performance.now() < end + 60_000);
    expect(await isHealthy()).toBe(true);
    await client.untilWhole();
    await compareReplicas(shared.cluster, client, before, KEYS);
    const log = execFileSync('cat', [`${shared.cluster.dataDir}/logs/Server2.log`], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    expect(log).toContain('Postgres is gone for good');
  }, 120_000);
});

/** A small file system in memory. @returns what takes it away again; null where nothing may be mounted */
function mountSmallDisk(folder: string, size: string): (() => void) | null {
  if (process.platform !== 'linux') return null;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return () => {
    execFileSync('umount', ['-l', folder]);
  };
}

const parent = mkdtempSync(join(tmpdir(), 'shardline-disk-'));
const folder = join(parent, 'data', 'servers', 'Server2');
mkdirSync(folder, { recursive: true });
const unmount = mountSmallDisk(folder, '400m');
afterAll(() => {
  unmount?.();
  rmSync(parent, { recursive: true, force: true });
});

// A disk can be filled only where one may be mounted that is nobody else's: in a container without privileges it may not.
if (unmount !== null) {
  describe('a full disk of one server', () => {
    const ballast = join(folder, 'ballast');
    const dataDir = join(parent, 'data');
    writeFileSync(join(dataDir, 'shardline-data'), '');
    const shared = sharedCluster({
      dataDir,
      init: THREE_SERVERS,
      env: {
        ...{ HEARTBEAT_INTERVAL_MS: '200', HEARTBEAT_MISSES: '5', NODE_START_TIMEOUT_MS: '20000' },
        ...{ SUSPECT_DISK_FREE_BYTES: String(16 * MIB), POSTGRES_RESTART_TRIES: '1' },
      },
    });
    const { client, events } = shared;

    /** Writes rows that need room until one of the server's replicas is out of its in-sync set. Those written last. */
    async function fillTables(): Promise<Row[]> {
      for (let turn = 0; ; turn += 1) {
        const rows = Array.from({ length: 100 }, (_, index) => student(KEYS + 500 + index, randomText(8000)));
        const { status, body } = await client.ask('POST', '/write?onConflict=replace', { data: rows });
        expect({ status, body }).toMatchObject({ status: 200 });
        if (events.seen.some(({ type, subject }) => type.endsWith('shard.stale') && subject === 'sh2/Server2'))
          return rows;
        if (turn > 400) throw new Error('the disk is not full yet');
      }
    }

    // With room for some pages of a table, but for no segment of its log, Postgres ends by itself, and cannot start again either.
    test.each([
      [2, 0],
      [12, KEYS],
    ])(
      'with %d MiB left makes it suspect, then stale; with room again it comes back',
      async (leftMiB, from) => {
        events.seen.splice(0);
        const before = (await client.rows(0, 2 * KEYS)).filter(({ Stud_id: id }) => id < KEYS);
        const load = new Load(client, 8, from, from + 500);
        const { bavail, bsize } = statfsSync(folder);
        execFileSync('fallocate', ['-l', String(bavail * bsize - leftMiB * MIB), ballast]);
        // On a busy machine a heartbeat may be missed before.
        const isOfDisk = ({ data }: CloudEvent): boolean => (data.causes as string[]).includes('disk');
        await events.until('server.suspect', 'Server2', 60_000, isOfDisk);
        const written = await fillTables();
        // What was acknowledged after that is on the two others alone.
        const later = Array.from({ length: 20 }, (_, index) => student(KEYS + 700 + index, `with ${leftMiB} MiB left`));
        for (const row of later)
          expect((await client.ask('POST', '/write?onConflict=replace', { data: [row] })).status).toBe(200);
        expect((await client.shards()).map(({ inSync }) => inSync.includes('Server2'))).toContain(false);
        rmSync(ballast);
        await client.untilWhole();
        await load.stop();
        expect(load.failures).toEqual([]);
        const expected = sorted([...before, ...load.expected.values(), ...written, ...later]);
        await client.untilWhole();
        expect(await client.rows(0, 2 * KEYS)).toEqual(expected);
        await compareReplicas(shared.cluster, client, expected, KEYS);
      },
      180_000,
    );
  });
}

/** Nothing that could be packed. */
function randomText(length: number): string {
  return randomBytes(length / 2).toString('hex');
}
