/** A range of any size travels in pages: no process needs memory in proportion to it. */
import { readFileSync } from 'node:fs';
import { LocalCluster } from '#common/testing/local-cluster';
import { Client } from './support/client';
import { sixServers } from './support/six-servers';

const ROWS = 200_000;
const MIB = 1024 * 1024;

/** The most memory that the process has had resident since the last reset, in bytes. Linux tells it, macOS does not. */
function peakMemory(pid: number): number {
  const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

describe('a large range', () => {
  let cluster: LocalCluster;
  let client: Client;

  beforeAll(async () => {
    cluster = await LocalCluster.start({ init: sixServers(ROWS / 4) });
    client = new Client(cluster.baseUrl);
    await client.fill(0, ROWS, 2000);
  }, 240_000);

  afterAll(async () => {
    await cluster.destroy();
  }, 60_000);

  async function readAll(): Promise<{ rows: number; bytes: number; ordered: boolean }> {
    const answer = await fetch(`${cluster.baseUrl}/read?low=0&high=${ROWS}`);
    expect(answer.status).toBe(200);
    let rows = 0;
    let bytes = 0;
    let ordered = true;
    let carried = '';
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      const text = carried + Buffer.from(chunk).toString('utf8');
      const last = text.lastIndexOf('"Stud_id":');
      for (const [, id] of text.slice(0, Math.max(last, 0)).matchAll(/"Stud_id":(\d+),/g)) {
        ordered &&= Number(id) === rows;
        rows += 1;
      }
      carried = last === -1 ? text : text.slice(last);
    }
    for (const [, id] of carried.matchAll(/"Stud_id":(\d+),/g)) {
      ordered &&= Number(id) === rows;
      rows += 1;
    }
    return { rows, bytes, ordered };
  }

  test('200,000 rows are all there, in order, and eight such reads at a time stay within bounds', async () => {
    const once = await readAll();
    expect(once).toMatchObject({ rows: ROWS, ordered: true });
    const pids = ['gateway', 'balancer', 'Server0', 'Server1'].map((name) => ({ name, pid: cluster.pidOf(name) }));
    const before = new Map(pids.map(({ pid }) => [pid, peakMemory(pid)]));
    const all = await Promise.all(Array.from({ length: 8 }, readAll));
    expect(all.every(({ rows, ordered }) => rows === ROWS && ordered)).toBe(true);
    // Eight answers together hold over 100 MiB; held in memory, let alone parsed, they would show.
    const total = all.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(total).toBeGreaterThan(80 * MIB);
    for (const { name, pid } of pids) {
      const grown = (peakMemory(pid) - (before.get(pid) ?? 0)) / MIB;
      expect({ name, grownTooMuch: grown > 100, grown }).toEqual({ name, grownTooMuch: false, grown });
    }
  }, 120_000);
});
