/** A short round of `make faults`: the sharpest ones, on one cluster. */
import { freshBuild } from '#common/testing/fresh-build';
import { FAULTS } from './fault-list';
import { FaultRun } from './fault-run';
import { compareReplicas, withPostgres } from './replicas';

const SHORT_ROUND = ['leader-killed', 'replica-stalled', 'power-cut'];

let run: FaultRun | undefined;
let found = false;

beforeAll(async () => {
  await freshBuild();
  run = await FaultRun.start({ seed: 1, clients: 8 }, []);
}, 240_000);

afterAll(async () => {
  if (found) await run?.endAndKeep();
  else await run?.destroy();
}, 60_000);

test.each(SHORT_ROUND)(
  '%s: what clients were answered can be explained, and all replicas agree with it',
  async (name) => {
    const fault = FAULTS.find((candidate) => candidate.name === name);
    const { operations, faults } = await run!.inject(fault!);
    found ||= faults.length > 0;
    expect({ faults, folder: faults.length > 0 ? run!.folder : '' }).toEqual({ faults: [], folder: '' });
    expect(operations).toBeGreaterThan(50);
  },
  180_000,
);

test('a replica whose table was changed behind its back is found', async () => {
  const { baseUrl, dataDir } = run!;
  const before = await compareReplicas(baseUrl, dataDir);
  expect(before.faults).toEqual([]);
  const { Stud_id: key } = before.rows.find(({ Stud_id: id }) => id < 4096)!;
  await withPostgres(dataDir, 'Server1', (postgres) =>
    postgres.query('UPDATE shards.sh1 SET "Stud_name" = $2 WHERE "Stud_id" = $1', [key, 'changed']),
  );
  const { faults } = await compareReplicas(baseUrl, dataDir);
  expect(faults).toEqual([expect.stringContaining(`Server1 differs in sh1`)]);
  expect(faults[0]).toContain(
    `${key} is ${before.rows.find(({ Stud_id: id }) => id === key)!.Stud_name} to clients and changed there`,
  );
}, 30_000);
