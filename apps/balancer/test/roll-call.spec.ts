/** Who is asked whether it lives and is whole, and what counts as showing it. */
import type { PingReply } from '#common/contracts/node';
import { RollCall } from '../src/core/replicas/roll-call';
import { spawn } from '../src/core/kernel/workflow';
import { clusterRecord, done, EPOCH, PartsOfTheCore, shardRecord, SILENCE, stateOf } from './support/parts-of-the-core';

const SERVERS = ['S0', 'S1', 'S2'];
const RECORD = shardRecord('a', SERVERS);
const VAT = 7;

class Called extends PartsOfTheCore {
  readonly rollCall = new RollCall(this.context, this.cluster);
  readonly present: string[][] = [];

  constructor() {
    super();
    this.serve(clusterRecord(SERVERS), [RECORD], VAT);
  }

  call(servers: readonly string[] = SERVERS): void {
    spawn(this.rollCall.present(this.shard(), servers), (present) => this.present.push(present));
    this.settle();
  }

  hold(vat: number, changes: Partial<PingReply> = {}): PingReply {
    const vitals = { uptimeMs: 1, postgres: 'ok' as const, diskFreeBytes: null, eventLoopDelayMs: null };
    const standing = { server: 'S', instance: 'i', epoch: EPOCH, configId: 1, cluster: null };
    return { ...vitals, ...standing, shards: [stateOf(RECORD, vat)], ...changes };
  }
}

describe('a roll-call', () => {
  it('asks nobody who is not believed to run, or has not been fenced', () => {
    const world = new Called();
    world.server('S1').dead = true;
    world.server('S2').starting = true;
    world.call();
    expect(world.openAsks()).toEqual(['ping S0']);
    world.answer('ping', done(world.hold(VAT)));
    expect(world.present).toEqual([['S0']]);
  });

  it('asks a server once for all that ask in the same moment, and again in the next', () => {
    const world = new Called();
    world.call(['S0']);
    world.call(['S0']);
    expect(world.openAsks()).toEqual(['ping S0']);
    world.pass(50);
    world.call(['S0']);
    expect(world.openAsks()).toEqual(['ping S0', 'ping S0']);
    world.answer('ping', done(world.hold(VAT)));
    expect(world.present).toEqual([['S0'], ['S0']]);
    world.answer('ping', SILENCE);
    expect(world.present).toEqual([['S0'], ['S0'], []]);
  });

  it('takes no answer for a later question, not even within one moment', () => {
    const world = new Called();
    world.call(['S0']);
    world.answer('ping', done(world.hold(VAT)));
    world.call(['S0']);
    world.answer('ping', done(world.hold(VAT - 1)));
    expect(world.present).toEqual([['S0'], []]);
  });

  it('keeps a question open that an earlier one, answered late, has nothing to do with', () => {
    const world = new Called();
    world.call(['S0']);
    world.pass(50);
    world.call(['S0']);
    world.answer('ping', SILENCE);
    world.call(['S0']);
    expect(world.openAsks()).toEqual(['ping S0']);
    world.answer('ping', done(world.hold(VAT)));
    expect(world.present).toEqual([[], ['S0'], ['S0']]);
  });

  it.each<[string, Partial<PingReply>]>([
    ['its Postgres is down', { postgres: 'down' }],
    ['it serves another configuration', { configId: 2 }],
    ['it does not have the shard', { shards: [] }],
    ['it misses the newest term', { shards: [stateOf(RECORD, VAT - 1)] }],
    ['it is being copied', { shards: [stateOf(RECORD, VAT, { catchingUp: true })] }],
  ])('counts nobody in who says that %s', (_, changes) => {
    const world = new Called();
    world.call(['S0']);
    world.answer('ping', done(world.hold(VAT, changes)));
    expect(world.present).toEqual([[]]);
  });
});
