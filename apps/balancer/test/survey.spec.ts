/** What a new leader finds out by asking around, and how long it waits for whom. */
import type { ClusterRecord, FenceReply } from '#common/contracts/node';
import { Survey } from '../src/core/leadership/survey';
import { spawn } from '../src/core/kernel/workflow';
import { clusterRecord, done, EPOCH, fenceReply, GRACE_MS, PartsOfTheCore, SILENCE } from './support/parts-of-the-core';

/** A survey in a world in which the launcher has data of some servers, and others answer the broadcast. */
class Surveyed extends PartsOfTheCore {
  readonly survey: Survey;
  /** What the survey has found; undefined as long as it lasts. */
  found: ClusterRecord | null | undefined;
  readonly late: string[] = [];

  constructor(stored: ClusterRecord | null, known: readonly string[], present: readonly string[] | null = []) {
    super();
    this.cluster.begin(EPOCH);
    this.survey = new Survey(this.context, this.cluster, this.health, this.settings, (server) =>
      this.late.push(server),
    );
    this.reply('listNodes', () => done([...known]));
    const heard = (present ?? []).map((server) => ({ server, configId: 0 }));
    this.reply('census', () => (present === null ? SILENCE : done(heard)));
    this.reply('startNode', () => done(null));
    spawn(this.survey.look(stored), (found) => {
      this.found = found;
    });
    this.settle();
  }

  report(server: string, changes: Partial<FenceReply> = {}): void {
    this.answer('fence', done(fenceReply([], changes)), server);
  }
  beSilent(server: string): void {
    this.answer('fence', SILENCE, server);
  }
}

/** A record of the same cluster that was stored later. */
function newer(record: ClusterRecord, configVersion = record.configVersion + 1): ClusterRecord {
  return { ...record, configVersion };
}

describe('whom a survey asks', () => {
  it('is whoever the launcher has data of, answers the broadcast, or stands in a record, each once', () => {
    const world = new Surveyed(clusterRecord(['S0', 'S1']), ['S1', 'S2'], ['S3', 'S0']);
    expect(world.allAsks('fence').sort()).toEqual(['fence S0', 'fence S1', 'fence S2', 'fence S3']);
    world.report('S1', { cluster: newer(clusterRecord(['S1', 'S4'])) });
    world.pass(50);
    expect(world.openAsks('fence').sort()).toEqual(['fence S0', 'fence S2', 'fence S3', 'fence S4']);
  });

  it('is whoever the catalog and the launcher name where nobody hears the broadcast', () => {
    const world = new Surveyed(clusterRecord(['S0']), ['S1'], null);
    expect(world.allAsks('fence')).toEqual(['fence S1', 'fence S0']);
  });

  it('starts, again and again, whom the launcher has data of; others are taken as silent', () => {
    const world = new Surveyed(clusterRecord(['S0', 'S1']), ['S1'], ['S2']);
    for (const server of ['S0', 'S1', 'S2']) world.beSilent(server);
    expect(world.allAsks('startNode')).toEqual(['startNode S1']);
    expect(world.survey.started).toEqual(new Set(['S1']));
    expect(world.openAsks('fence')).toEqual(['fence S1']);
    expect(world.survey.awaited).toEqual(['S1']);
    world.report('S1');
    expect([...world.survey.replies.keys()]).toEqual(['S1']);
    world.pass(5_000);
    expect(world.allAsks('startNode')).toEqual(['startNode S1']);
  });

  it('starts whom a record names of which the catalog knows nothing', () => {
    const world = new Surveyed(null, [], ['S0']);
    world.report('S0', { cluster: clusterRecord(['S0', 'S1']) });
    world.pass(50);
    world.beSilent('S1');
    expect(world.allAsks('startNode')).toEqual(['startNode S1']);
  });

  it('is asked for by the launcher until that answers, or somebody else leads', () => {
    for (const isOver of [false, true]) {
      const other = new PartsOfTheCore();
      other.cluster.begin(EPOCH);
      const survey = new Survey(other.context, other.cluster, other.health, other.settings, () => undefined);
      other.reply('census', () => done([]));
      other.reply('listNodes', () => SILENCE);
      let isDone = false;
      spawn(survey.look(null), () => {
        isDone = true;
      });
      other.pass(100);
      expect(isDone).toBe(false);
      if (isOver) other.cluster.phase = 'steppedDown';
      else other.reply('listNodes', () => done([]));
      other.pass(100);
      expect(isDone).toBe(true);
      const asked = other.allAsks('listNodes').length;
      other.pass(500);
      expect(other.allAsks('listNodes')).toHaveLength(asked);
    }
  });
});

describe('a survey ends', () => {
  const record = clusterRecord(['S0', 'S1', 'S2']);

  it('at once when everybody has reported or is known not to run', () => {
    const world = new Surveyed(null, [], ['S0', 'S1']);
    world.report('S0');
    world.pass(50);
    expect(world.found).toBeUndefined();
    expect(world.survey.awaited).toEqual(['S1']);
    world.beSilent('S1');
    world.pass(50);
    expect(world.found).toBeNull();
    expect(world.survey.awaited).toEqual([]);
  });

  it('soon when most servers of the record have answered', () => {
    const world = new Surveyed(record, ['S0', 'S1', 'S2']);
    world.report('S0');
    world.report('S1');
    world.pass(450);
    expect(world.found).toBeUndefined();
    expect(world.survey.awaited).toEqual(['S2']);
    world.pass(50);
    expect(world.found).toBe(record);
    expect(world.survey.awaited).toEqual([]);
  });

  it('not before the time of grace when fewer have, though as many others', () => {
    const world = new Surveyed(record, ['S0', 'S1', 'S2', 'S3']);
    world.report('S0');
    world.report('S3');
    world.pass(GRACE_MS - 50);
    expect(world.found).toBeUndefined();
    world.pass(50);
    expect(world.found).toBe(record);
  });

  it('without a record in the catalog not before the time of grace as long as anybody may still report one', () => {
    const world = new Surveyed(null, ['S0', 'S1', 'S2']);
    world.report('S0', { cluster: record });
    world.report('S1');
    world.pass(GRACE_MS - 50);
    expect(world.found).toBeUndefined();
    world.pass(50);
    expect(world.found).toBe(record);
  });

  it('with the newest record that anybody knows', () => {
    const world = new Surveyed(newer(record, 3), ['S0', 'S1', 'S2']);
    world.report('S0', { cluster: newer(record, 5) });
    world.report('S1', { cluster: newer(record, 4) });
    world.report('S2');
    world.pass(50);
    expect(world.found?.configVersion).toBe(5);
  });

  it('and what is reported later is handed on; what was reported in time is not', () => {
    const world = new Surveyed(record, ['S0', 'S1', 'S2']);
    world.report('S0');
    world.report('S1');
    world.pass(500);
    expect(world.late).toEqual([]);
    world.report('S2');
    expect(world.late).toEqual(['S2']);
  });

  it('and silence afterwards is no word', () => {
    const world = new Surveyed(record, ['S1', 'S2'], []);
    world.report('S1');
    world.report('S2');
    world.pass(500);
    world.beSilent('S0');
    expect(world.late).toEqual([]);
  });

  it.each([
    ['goes on being started where nothing else is known', 'unconfigured', true],
    ['is left to the take-over where there is a cluster', 'takingOver', false],
  ] as const)('and a server that does not come %s', (_, phase, continues) => {
    const world = new Surveyed(null, ['S0']);
    world.reply('fence', () => SILENCE);
    world.beSilent('S0');
    world.pass(GRACE_MS);
    expect(world.found).toBeNull();
    world.cluster.phase = phase;
    world.pass(2_000);
    const before = world.allAsks('startNode').length;
    world.pass(3_000);
    expect(world.allAsks('startNode').length > before).toBe(continues);
  });
});

describe('a catalog', () => {
  const record = clusterRecord(['S0', 'S1']);
  const mark = { epoch: 3, instance: 'L0', revision: 20 };
  const reigns = [{ epoch: 3, instance: 'L0', since: 10 }];

  it.each<[string, ClusterRecord | null, Partial<FenceReply>, boolean]>([
    ['knows everything where nobody knows of more', record, { mark }, false],
    ['is forgetful where it lacks what somebody has heard', record, { mark: { ...mark, instance: 'L9' } }, true],
    ['is forgetful where somebody has a newer record', record, { cluster: newer(record) }, true],
    ['knows everything where somebody has the same record', record, { cluster: record }, false],
    ['without a record is forgetful where somebody has a configuration', null, {}, true],
    ['without a record knows everything where nobody has one', null, { configId: 0 }, false],
  ])('%s', (_, stored, reply, isForgetful) => {
    const world = new Surveyed(stored, ['S0', 'S1']);
    world.report('S0', { configId: 0 });
    world.report('S1', reply);
    expect(world.survey.isForgetful(stored, reigns)).toBe(isForgetful);
  });
});

describe('without a record there may be data all the same', () => {
  it('of servers that hold a configuration', () => {
    const world = new Surveyed(null, ['S0', 'S1']);
    world.report('S0');
    world.report('S1', { configId: 0 });
    expect(world.survey.foundData()).toMatch(/^S0 hold data/);
  });

  it('of servers that the launcher knows and that do not answer', () => {
    const world = new Surveyed(null, ['S0', 'S1'], ['S2']);
    world.report('S0', { configId: 0 });
    expect(world.survey.foundData()).toMatch(/^S1 may hold data/);
    world.report('S1', { configId: 0 });
    expect(world.survey.foundData()).toBeNull();
  });
});
