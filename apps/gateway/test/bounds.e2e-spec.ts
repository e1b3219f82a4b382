/** Every bound of requests that docs/configuration.md names: at the bound it works on the real cluster, one beyond gets 400 in plain words. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '#common/process/project-root';
import type { Answer } from '#common/testing/asker';
import { sharedCluster } from '#common/testing/cluster-harness';
import { failure, success } from './asking';

jest.setTimeout(300_000);

const shared = sharedCluster({ env: { ALLOW_REINIT: 'true' } });
const { ask } = shared;

beforeAll(async () => {
  expect(await ask('POST', '/init', init({}))).toMatchObject({ status: 200 });
});

const LIMIT = 2 ** 53;
/** Numbers that no double distinguishes from the one below: as texts, since a number in a test would be bent as well. */
const ABOVE = '9007199254740993';
const shard = (low: number | string, size: number | string, name = 'a'): string =>
  `{"Stud_id_low":${low},"Shard_id":"${name}","Shard_size":${size}}`;
/** All keys that there are, in three shards. */
const EVERYTHING = `[${shard(-LIMIT, LIMIT)},${shard(0, LIMIT, 'b')},${shard(LIMIT, 1, 'c')}]`;
const SCHEMA = '{"columns":["K","S","J","T"],"dtypes":["Number","String","JSON","Timestamp"]}';
const init = (fields: Record<string, string>): string =>
  `{${Object.entries({ N: '1', shards: EVERYTHING, schema: SCHEMA, ...fields })
    .map(([name, value]) => `"${name}":${value}`)
    .join()}}`;

const row = (fields: Record<string, string> = {}): string =>
  `{${Object.entries({ K: '1', S: '"s"', J: 'null', T: '"2024-01-01T00:00:00Z"', ...fields })
    .map(([name, value]) => `"${name}":${value}`)
    .join()}}`;
const write = (fields: Record<string, string>): Promise<Answer> =>
  ask('POST', '/write?onConflict=replace', `{"data":[${row(fields)}]}`);
const names = (count: number): string => JSON.stringify(Array.from({ length: count }, (_, index) => `n${index}`));
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const servers = (count: number): string =>
  JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`S${index}`, ['a', 'b', 'c']])));
const manyShards = (count: number): string =>
  `[${Array.from({ length: count }, (_, index) => shard(index, 1, `s${index}`)).join()}]`;
const padded = (bytes: number): string => `{"data":[${row()}]}`.padEnd(bytes);
const wide = (count: number): string =>
  `{"columns":${names(count)},"dtypes":${JSON.stringify(Array(count).fill('Number'))}}`;
const withId = (length: number): Promise<Answer> =>
  ask('POST', '/write?onConflict=replace', `{"data":[${row()}]}`, { 'Idempotency-Key': 'i'.repeat(length) });

type Try = () => Promise<Answer>;
/** By the bound's name in the docs: what must work, and what must be refused with which words. */
const BOUNDS: Record<string, { works: Try[]; refused: [Try, RegExp][] }> = {
  'servers of a cluster': {
    // That 64 are taken is tested in the rules themselves: so many Postgres do not fit into a test.
    works: [() => ask('POST', '/init', init({ N: '0', servers: servers(1) }))],
    refused: [
      [() => ask('POST', '/init', init({ N: '65' })), /N is 65: it must lie between 0 and 64/],
      [() => ask('POST', '/init', init({ N: '-1' })), /N is -1: it must lie between 0 and 64/],
      [() => ask('POST', '/init', init({ servers: servers(65) })), /65 servers: a cluster has at most 64/],
      [() => ask('POST', '/add', `{"n":65,"servers":${servers(65)}}`), /n is 65: it must lie between 1 and 64/],
      [() => ask('POST', '/add', `{"n":0,"servers":{}}`), /n is 0: it must lie between 1 and 64/],
      [() => ask('DELETE', '/rm', '{"n":65}'), /n is 65: it must lie between 1 and 64/],
      [() => ask('DELETE', '/rm', '{"n":0}'), /n is 0: it must lie between 1 and 64/],
    ],
  },
  'shards of a cluster': {
    works: [() => ask('POST', '/init', init({ shards: `[${shard(0, 1)}]` }))],
    refused: [
      [() => ask('POST', '/init', init({ shards: '[]' })), /shards is empty/],
      [() => ask('POST', '/init', init({ shards: manyShards(1_025) })), /1025 items: there may be at most 1024/],
      [
        () => ask('POST', '/add', `{"n":1,"new_shards":${manyShards(1_025)},"servers":${servers(1)}}`),
        /1025 items: there may be at most 1024/,
      ],
    ],
  },
  'columns of a table': {
    works: [1, 1_000].map((count) => () => ask('POST', '/init', init({ schema: wide(count) }))),
    refused: [
      [() => ask('POST', '/init', init({ schema: wide(0) })), /columns is empty/],
      [() => ask('POST', '/init', init({ schema: wide(1_001) })), /1001 items: there may be at most 1000/],
    ],
  },
  'characters of a name': {
    works: [1, 63].map((length) => () => {
      const name = 'n'.repeat(length);
      const schema = JSON.stringify({ columns: [name], dtypes: ['Number'] });
      return ask(
        'POST',
        '/init',
        init({ schema, shards: `[${shard(0, 1, name)}]`, servers: `{"${name}":["${name}"]}` }),
      );
    }),
    refused: ['', 'n'.repeat(64)].flatMap((name): [Try, RegExp][] => [
      [() => ask('POST', '/init', init({ shards: `[${shard(0, 1, name)}]` })), /at most 62 letters/],
      [() => ask('POST', '/init', init({ servers: `{"${name}":[]}` })), /at most 62 letters/],
      [
        () => ask('POST', '/init', init({ schema: JSON.stringify({ columns: [name], dtypes: ['Number'] }) })),
        /at most 62 letters/,
      ],
    ]),
  },
  'a key': {
    works: [-LIMIT, LIMIT].flatMap((key): Try[] => [
      () => ask('POST', '/init', init({})),
      () => write({ K: String(key) }),
      () => ask('PUT', '/update', `{"K":${key},"data":${row({ K: `"${key}"` })}}`),
      () => ask('POST', '/read', `{"K":${key}}`),
      () => ask('GET', `/read?low=${key}&high=${key}`),
      () => ask('DELETE', '/del', `{"K":${key}}`),
    ]),
    refused: [`-${ABOVE}`, ABOVE, '9007199254740994', '1e300'].flatMap((key): [Try, RegExp][] => [
      [() => write({ K: key }), /must be a whole number within ±2\^53/],
      [() => ask('PUT', '/update', `{"K":${key},"data":${row()}}`), /whole number|must lie between/],
      [() => ask('POST', '/read', `{"K":${key}}`), /whole number|must lie between/],
      [() => ask('GET', `/read?low=${key}&high=${key}`), /whole number|must lie between/],
      [() => ask('DELETE', '/del', `{"K":${key}}`), /whole number|must lie between/],
      [() => ask('POST', '/init', init({ shards: `[${shard(key, 1)}]` })), /whole number|must lie between/],
    ]),
  },
  'keys of a shard': {
    works: [
      () => ask('POST', '/init', init({ shards: `[${shard(-LIMIT, LIMIT)}]` })),
      () => ask('POST', '/init', init({ shards: `[${shard(1, LIMIT)}]` })),
      () => ask('POST', '/init', init({ shards: `[${shard(LIMIT, 1)}]` })),
    ],
    refused: [
      [() => ask('POST', '/init', init({ shards: `[${shard(0, 0)}]` })), /Shard_size is 0: it must lie between 1 and/],
      [() => ask('POST', '/init', init({ shards: `[${shard(0, ABOVE)}]` })), /Shard_size must be a whole number/],
      [() => ask('POST', '/init', init({ shards: `[${shard(0, '9007199254740994')}]` })), /it must lie between 1 and/],
      [() => ask('POST', '/init', init({ shards: `[${shard(2, LIMIT)}]` })), /ends at a key above 2\^53/],
      [() => ask('POST', '/init', init({ shards: `[${shard(LIMIT, 2)}]` })), /ends at a key above 2\^53/],
    ],
  },
  'levels of a JSON value': {
    works: [() => ask('POST', '/init', init({})), () => write({ J: nested(64) })],
    refused: [[() => write({ J: nested(65) }), /nested more than 64 levels/]],
  },
  'a timestamp': {
    works: ['0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999Z', '2024-01-01T00:00:00+15:59'].map(
      (time) => () => write({ T: `"${time}"` }),
    ),
    refused: [
      '0000-12-31T23:59:59Z',
      '9999-12-31T23:59:59-00:01',
      '2024-01-01T00:00:00.1234567Z',
      '2024-01-01T00:00:00+16:00',
    ].map((time) => [() => write({ T: `"${time}"` }), /ISO 8601/]),
  },
  'characters of an `Idempotency-Key`': {
    works: [1, 128].map((length) => () => withId(length)),
    refused: [0, 129].map((length) => [() => withId(length), /1 to 128 visible ASCII characters/]),
  },
  'bytes of a body': {
    works: [() => ask('POST', '/write?onConflict=replace', padded(4_194_304))],
    refused: [[() => ask('POST', '/write', padded(4_194_305)), /BODY_LIMIT \(4194304 bytes\)/]],
  },
  'bytes of the headers': {
    works: [() => ask('GET', '/status', undefined, { x: 'y'.repeat(16_000) })],
    refused: [[() => ask('GET', '/status', undefined, { x: 'y'.repeat(16_500) }), /Too Large/]],
  },
};

test.each(Object.entries(BOUNDS))('%s: the bound works, and beyond it is said in plain words', async (_, bound) => {
  for (const works of bound.works) expect(await works()).toMatchObject({ status: 200 });
  for (const [refused, message] of bound.refused) {
    const answer = await refused();
    expect([400, 413, 431]).toContain(answer.status);
    expect(answer).toEqual(failure(answer.status, message));
  }
});

test('keys at both ends are there together, in their order', async () => {
  expect(await ask('POST', '/init', init({ schema: '{"columns":["K"],"dtypes":["Number"]}' }))).toMatchObject({
    status: 200,
  });
  const keys = [-LIMIT, 1 - LIMIT, -1, 0, LIMIT - 1, LIMIT];
  const data = keys.map((key) => ({ K: key }));
  expect(await ask('POST', '/write', { data })).toMatchObject({ status: 200 });
  expect(await ask('POST', '/read', { K: { low: -LIMIT, high: LIMIT } })).toEqual(
    success({ shards_queried: ['a', 'b', 'c'], data, status: 'success' }),
  );
  expect(await ask('POST', '/scrub')).toMatchObject({ status: 200 });
});

test('the docs name these bounds, and no others', () => {
  const page = readFileSync(join(projectRoot(), 'docs', 'configuration.md'), 'utf8');
  const section = page.split(/^## /m).find((part) => part.startsWith('Bounds of requests\n')) ?? '';
  const documented = [...section.matchAll(/^\| ([^|]+?) \| [^|]+ \|$/gm)].map(([, name]) => name!);
  expect(documented.slice(2).sort()).toEqual(Object.keys(BOUNDS).sort());
});
