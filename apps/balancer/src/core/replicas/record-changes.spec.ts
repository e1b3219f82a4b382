import { entered, joined, settled, without } from './record-changes';
import type { ShardRecord } from '../cluster/shard';

const RECORD: ShardRecord = {
  ...{ shard: 'a', low: 0, size: 10, configId: 1, configEpoch: 1, configVersion: 1 },
  ...{ replicas: ['S0', 'S1', 'S2'], inSync: ['S0', 'S1'], joining: ['S2'] },
};

describe('a replica that joins', () => {
  it('is no copy before it has been in sync', () => {
    expect(joined(RECORD, ['S3'])).toMatchObject({ replicas: ['S0', 'S1', 'S2', 'S3'], joining: ['S2', 'S3'] });
    expect(joined(RECORD, ['S3']).inSync).toEqual(RECORD.inSync);
  });

  it('changes nothing where it is one already', () => {
    expect(joined(RECORD, ['S0', 'S2'])).toEqual(RECORD);
  });
});

describe('a replica that enters the set', () => {
  it('is a member like any other, whatever it was before', () => {
    const record = { ...RECORD, diverged: ['S2', 'S0'] };
    expect(entered(record, 'S2')).toMatchObject({ inSync: ['S0', 'S1', 'S2'], joining: [], diverged: ['S0'] });
    expect(entered(record, 'S0')).toMatchObject({ inSync: ['S0', 'S1'], joining: ['S2'], diverged: ['S2'] });
  });
});

describe('a replica that goes', () => {
  it('is nothing of the shard any more', () => {
    expect(without(RECORD, 'S2')).toEqual({ ...RECORD, replicas: ['S0', 'S1'], joining: [] });
    expect(without(RECORD, 'S1')).toEqual({ ...RECORD, replicas: ['S0', 'S2'], inSync: ['S0'] });
  });

  it('changes nothing where it is none: nothing is to be stored then', () => {
    expect(without(RECORD, 'S3')).toBe(RECORD);
  });
});

it('a dispute leaves nothing behind when it ends', () => {
  expect(settled({ ...RECORD, disputed: true })).toEqual(RECORD);
});
