/** What happens in small worlds when nothing goes wrong: a cluster of two to four servers, and an administrator who changes it. */
import type { AddCommand, InitCommand, RmCommand } from '#common/contracts/commands';
import { SCHEMA } from '../simulation/rows';
import { SHARD_KEYS } from '../simulation/shape-changes';
import type { Stage } from './stage';

export interface Script {
  name: string;
  init: InitCommand;
  /** Servers that come into being only with the script. */
  others: readonly string[];
  /** So many replicas each shard has at the end, at least. */
  copies: number;
  /** A second shard comes into being. */
  grows: boolean;
  /** What goes wrong may do so in the middle of a round. */
  isAboutRounds: boolean;
  play: (stage: Stage) => Promise<void>;
}

/** By server which shards it has; `a` covers the first keys, `b` those behind. */
type Layout = Record<string, string[]>;

function initOf(layout: Layout, allowReinit = false, names = ['a', 'b'], size = SHARD_KEYS): InitCommand {
  const ids = names.filter((id) => Object.values(layout).some((shards) => shards.includes(id)));
  return {
    n: Object.keys(layout).length,
    schema: SCHEMA,
    shards: ids.map((shard, index) => ({ shard, low: index * size, size })),
    servers: layout,
    allowReinit,
  };
}

const rm = (...servers: string[]): RmCommand => ({ n: servers.length, servers });

const add = (server: string, shards: string[]): AddCommand => ({
  n: 1,
  newShards: [],
  servers: { [server]: shards },
});

const elsewhere = initOf({ S1: ['b', 'a'], S2: ['a', 'b'] }, true, ['b', 'a']);
const wider = initOf({ S0: ['a'], S1: ['a'] }, true, ['a'], 2 * SHARD_KEYS);

const NONE: readonly string[] = [];
const TWO = { S0: ['a'], S1: ['a'] };
const THREE = { S0: ['a'], S1: ['a'], S2: ['a'] };
const SPARE = { S0: ['a'], S1: ['a'], S2: [] };

function script(name: string, layout: Layout, play: Script['play'], others = NONE): Script {
  const isAboutRounds = ['write', 'write two', 'two in turn', 'init'].includes(name);
  return { name, init: initOf(layout), others, copies: 2, grows: name === 'grow', isAboutRounds, play };
}

export const SCRIPTS: readonly Script[] = [
  script('write', THREE, (stage) => stage.pass(300)),
  script('write two', { S0: ['a', 'b'], S1: ['a'], S2: ['b'] }, (stage) => stage.pass(300)),
  script('return', THREE, async (stage) => {
    stage.end('S2');
    await stage.pass(350);
    stage.start('S2');
  }),
  script('alone', TWO, async (stage) => {
    stage.end('S1');
    await stage.pass(700);
    stage.start('S1');
  }),
  script('empty', TWO, async (stage) => {
    stage.loseDisk('S1');
    await stage.pass(300);
  }),
  script('rm', SPARE, (stage) => stage.ask({ op: 'rm', command: rm('S1') })),
  script('rm fewer', THREE, (stage) => stage.ask({ op: 'rm', command: rm('S2') })),
  script('rm two', { S0: ['a'], S1: ['a', 'b'], S2: ['b'], S3: [] }, (stage) =>
    stage.ask({ op: 'rm', command: rm('S1') }),
  ),
  script('add', TWO, (stage) => stage.ask({ op: 'add', command: add('S2', ['a']) }), ['S2']),
  script(
    'grow',
    TWO,
    (stage) =>
      stage.ask({
        op: 'add',
        command: {
          n: 2,
          newShards: [{ shard: 'b', low: SHARD_KEYS, size: SHARD_KEYS }],
          servers: { S2: ['b'], S3: ['b'] },
        },
      }),
    ['S2', 'S3'],
  ),
  script('init', TWO, (stage) => stage.ask({ op: 'init', command: wider })),
  script('init elsewhere', TWO, (stage) => stage.ask({ op: 'init', command: elsewhere }), ['S2']),
  script('rm, init', SPARE, async (stage) => {
    stage.begin({ op: 'rm', command: rm('S1') });
    await stage.pass(60);
    await stage.ask({ op: 'init', command: wider });
  }),
  script('rm, rm', { S0: ['a'], S1: ['a'], S2: [], S3: [] }, async (stage) => {
    await stage.ask({ op: 'rm', command: rm('S1') });
    await stage.ask({ op: 'rm', command: rm('S0') });
  }),
  script(
    'add, rm',
    TWO,
    async (stage) => {
      await stage.ask({ op: 'add', command: add('S2', ['a']) });
      await stage.ask({ op: 'rm', command: rm('S0') });
    },
    ['S2'],
  ),
  script('four', { S0: ['a'], S1: ['a'], S2: ['a'], S3: ['a'] }, async (stage) => {
    stage.end('S3');
    await stage.pass(250);
    stage.start('S3');
  }),
  script('rm who is down', SPARE, async (stage) => {
    stage.end('S1');
    await stage.pass(100);
    await stage.ask({ op: 'rm', command: rm('S1') });
  }),
  script('rm beside who is empty', SPARE, async (stage) => {
    stage.loseDisk('S1');
    await stage.pass(60);
    await stage.ask({ op: 'rm', command: rm('S0') });
  }),
  script('rm of three beside who is down', { S0: ['a'], S1: ['a'], S2: ['a'], S3: [] }, async (stage) => {
    stage.end('S1');
    await stage.pass(200);
    await stage.ask({ op: 'rm', command: rm('S2') });
  }),
  script(
    'init twice',
    TWO,
    async (stage) => {
      await stage.ask({ op: 'init', command: elsewhere });
      await stage.pass(60);
      await stage.ask({ op: 'init', command: wider });
    },
    ['S2'],
  ),
  script(
    'init, rm',
    TWO,
    async (stage) => {
      await stage.ask({ op: 'init', command: { ...elsewhere, n: 3, servers: { ...elsewhere.servers, S0: [] } } });
      await stage.pass(60);
      await stage.ask({ op: 'rm', command: rm('S1') });
    },
    ['S2'],
  ),
  script(
    'add beside who is down',
    TWO,
    async (stage) => {
      stage.end('S1');
      await stage.pass(100);
      await stage.ask({ op: 'add', command: add('S2', ['a']) });
    },
    ['S2'],
  ),
  script('two in turn', { S0: ['a', 'b'], S1: ['a', 'b'] }, async (stage) => {
    stage.end('S1');
    await stage.pass(150);
    stage.start('S1');
    await stage.pass(150);
    stage.end('S0');
    await stage.pass(100);
    stage.start('S0');
  }),
];
