import type { AddCommand, InitCommand, RmCommand } from '#common/contracts/commands';
import { COMMAND_MESSAGES } from '#common/nats/command-messages';
import { readCommand } from './admin-shapes';

const initCommand = (data: Uint8Array): InitCommand => readCommand(COMMAND_MESSAGES.init.request, data);
const addCommand = (data: Uint8Array): AddCommand => readCommand(COMMAND_MESSAGES.add.request, data);
const rmCommand = (data: Uint8Array): RmCommand => readCommand(COMMAND_MESSAGES.rm.request, data);

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const schema = { columns: ['id', 'name'], dtypes: ['Number', 'String'] };
const shards = [{ shard: 'a', low: 0, size: 5 }];

test('a command as the gateway sends it passes as it is', () => {
  const init = { n: 1, schema, shards, servers: { A: ['a'] }, allowReinit: false };
  expect(initCommand(bytes(init))).toEqual(init);
  const add = { n: 1, newShards: [], servers: { 'Server[5]': ['a'] } };
  expect(addCommand(bytes(add))).toEqual(add);
  expect(rmCommand(bytes({ n: 1, servers: ['A'] }))).toEqual({ n: 1, servers: ['A'] });
});

test.each<[string, (data: Uint8Array) => unknown, unknown]>([
  ['no command', initCommand, null],
  ['a list', addCommand, []],
  ['no shards', initCommand, { n: 1, schema, servers: null, allowReinit: false }],
  [
    'columns that are no names',
    initCommand,
    { n: 1, schema: { columns: [1, {}], dtypes: ['x'] }, shards, servers: null, allowReinit: false },
  ],
  [
    'a column of ours',
    initCommand,
    { n: 1, schema: { columns: ['id', 'CAT'], dtypes: schema.dtypes }, shards, servers: null, allowReinit: false },
  ],
  [
    'a column twice',
    initCommand,
    { n: 1, schema: { columns: ['id', 'ID'], dtypes: schema.dtypes }, shards, servers: null, allowReinit: false },
  ],
  [
    'a key that is no number',
    initCommand,
    { n: 1, schema: { columns: ['id'], dtypes: ['String'] }, shards, servers: null, allowReinit: false },
  ],
  [
    'a column without a dtype',
    initCommand,
    { n: 1, schema: { columns: ['id', 'b'], dtypes: ['Number'] }, shards, servers: null, allowReinit: false },
  ],
  [
    'a shard of a broken size',
    initCommand,
    { n: 1, schema, shards: [{ shard: 'a', low: 0, size: 0.5 }], servers: null, allowReinit: false },
  ],
  ['a field that nobody knows', initCommand, { n: null, schema, shards, servers: null, allowReinit: false, x: 1 }],
  ['a name that is none', rmCommand, { n: 1, servers: ['a b'] }],
  ['a negative number', rmCommand, { n: -1, servers: [] }],
])("%s is refused as the asker's fault", (_, parse, value) => {
  expect(() => parse(bytes(value))).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
});

test('what is no JSON is refused as unreadable', () => {
  expect(() => initCommand(new TextEncoder().encode('{'))).toThrow(expect.objectContaining({ code: 'BAD_MESSAGE' }));
});
