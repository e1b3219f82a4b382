/**
 * A balancer that is deposed in the middle of an administrator's command: whoever leads then goes on from what is stored, and the one
 * before begins nothing more. It would end servers, or send them a configuration, that may be somebody else's by then.
 */
import type { Effect } from '../src/core/kernel/effects';
import { SHARD, SmallWorld } from './support/small-world';

const SCHEMA = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };
const NEW_SHARDS = [
  { shard: 'sh8', low: 80, size: 10 },
  { shard: 'sh9', low: 90, size: 10 },
];

const COMMANDS: [string, Record<string, string[]>, object][] = [
  [
    '/init over another configuration',
    { S0: [SHARD, 'sh1'], S1: [SHARD], S2: ['sh1'] },
    {
      op: 'init',
      command: {
        ...{ n: 2, schema: SCHEMA, allowReinit: true },
        ...{ shards: [{ shard: 'other', low: 0, size: 9 }, ...NEW_SHARDS] },
        servers: { S0: ['other', 'sh8'], S3: ['other', 'sh9'] },
      },
    },
  ],
  [
    '/add of two servers with new shards and further replicas',
    { S0: [SHARD, 'sh1'], S1: [SHARD, 'sh1'] },
    { op: 'add', command: { n: 2, newShards: NEW_SHARDS, servers: { N0: ['sh8', SHARD], N1: ['sh9', 'sh1', SHARD] } } },
  ],
  [
    '/rm of two servers, with copies made elsewhere',
    { S0: [SHARD, 'sh1'], S1: [SHARD], S2: ['sh1'], S3: [], S4: [] },
    { op: 'rm', command: { n: 2, servers: ['S0', 'S1'] } },
  ],
];

/** What a step does after it has found out that another balancer leads, beside saying so. */
interface Deposed {
  /** What it could not change. */
  key: string | null;
  begun: Effect['do'][];
  published: string[];
}

/** Copies go on from shard to shard, whatever an administrator does; servers refuse them when they have heard of the next leader. */
function isForCopy(effect: Effect): boolean {
  return effect.do === 'config' && effect.request.areNew !== true && effect.request.shards.length > 0;
}

/** The command, with the `at`-th change that it makes in the catalog refused, since another balancer has changed that. */
async function deposedAt(at: number, laidOut: Record<string, string[]>, command: object): Promise<Deposed | null> {
  const world = await SmallWorld.laidOut(laidOut);
  // The heartbeats have been answered, and nothing else is to be stored.
  await world.pass(400);
  const { core } = world.balancer;
  const step = core.step.bind(core);
  let deposed: Deposed | null = null;
  let taken: string | null = null;
  core.step = (event) => {
    const effects = step(event);
    const stepsDown = effects.findIndex((effect) => effect.do === 'stepDown');
    if (stepsDown === -1) return effects;
    const after = effects.slice(stepsDown + 1);
    deposed = {
      key: taken,
      begun: after.filter((effect) => 'token' in effect && !isForCopy(effect)).map((effect) => effect.do),
      published: after.flatMap((effect) => (effect.do === 'publish' ? [effect.event.kind] : [])),
    };
    return effects;
  };
  let stores = 0;
  world.intercept = (ask, answer) => {
    if (ask.do === 'readKey' && ask.key === taken) {
      answer({ ok: true, value: { key: ask.key, value: { by: 99 }, revision: 9_999 } });
      return true;
    }
    if (ask.do !== 'store' || ask.key === 'leader' || taken !== null) return false;
    stores += 1;
    if (stores !== at) return false;
    taken = ask.key;
    world.scheduler.after(10, () => {
      answer({ ok: true, value: null });
    });
    return true;
  };
  world.balancer.dispatch({ on: 'admin', command: { request: 2, ...command } as never });
  await world.until(() => deposed !== null || world.administered.has(2), 10_000);
  return deposed;
}

describe.each(COMMANDS)('%s', (_, laidOut, command) => {
  test('begins nothing, and reports nothing done, after any of its changes was refused', async () => {
    const deposed: Deposed[] = [];
    for (let at = 1; ; at += 1) {
      const one = await deposedAt(at, laidOut, command);
      if (one === null) break;
      deposed.push(one);
    }
    // It has changed the cluster’s record at least, and those of shards.
    expect(deposed.length).toBeGreaterThan(3);
    expect(deposed).toEqual(deposed.map(({ key }) => ({ key, begun: [], published: [] })));
  }, 60_000);
});
