import { ServerReports } from './server-reports';

const RECORD = { shard: 'a', low: 0, size: 9, configId: 2, configEpoch: 1, configVersion: 1 };
const SERVERS = ['S0', 'S1', 'S2', 'S3', 'S4'];
const recordOf = (replicas: string[], joining: string[] = []): Parameters<ServerReports['isNewest']>[0] => ({
  ...{ ...RECORD, replicas, joining, inSync: replicas },
});

function reportsOf(holding: readonly string[], empty: readonly string[] = [], configId = 2): ServerReports {
  const reports = new ServerReports();
  for (const server of holding) reports.add(server, { configId, shards: [{ shard: 'a' } as never] });
  for (const server of empty) reports.add(server, { configId: 0, shards: [] });
  return reports;
}

describe('whether a later record can be missed', () => {
  it.each([
    ['both of two replicas', ['S0', 'S1'], ['S0', 'S1'], true],
    ['one of two', ['S0', 'S1'], ['S0'], false],
    ['two of three', ['S0', 'S1', 'S2'], ['S0', 'S2'], true],
    ['one of three', ['S0', 'S1', 'S2'], ['S1'], false],
    ['three of four', ['S0', 'S1', 'S2', 'S3'], ['S0', 'S1', 'S2'], true],
    ['two of four', ['S0', 'S1', 'S2', 'S3'], ['S0', 'S1'], false],
    ['one that is no replica beside one of two', ['S0', 'S1'], ['S0', 'S4'], false],
  ])('%s have reported it', (_, replicas, holding, isNewest) => {
    expect(reportsOf(holding).isNewest(recordOf(replicas), SERVERS)).toBe(isNewest);
  });

  it('whoever has lost its disk stands for nobody', () => {
    expect(reportsOf(['S2', 'S3'], ['S0']).isNewest(recordOf(['S0', 'S1', 'S2', 'S3']), SERVERS)).toBe(false);
  });

  it('a replica that was never in sync counts neither here nor there', () => {
    expect(reportsOf(['S0', 'S2']).isNewest(recordOf(['S0', 'S1', 'S2'], ['S2']), SERVERS)).toBe(false);
    expect(reportsOf(['S0']).isNewest(recordOf(['S0', 'S2'], ['S2']), SERVERS)).toBe(true);
  });

  it('what was reported of another configuration says nothing', () => {
    expect(reportsOf(['S0', 'S1'], [], 1).isNewest(recordOf(['S0', 'S1']), SERVERS)).toBe(false);
  });

  it('where everybody has answered there is nobody left who could', () => {
    expect(reportsOf(['S0'], ['S1', 'S2', 'S3', 'S4']).isNewest(recordOf(['S0', 'S1']), SERVERS)).toBe(true);
  });
});
