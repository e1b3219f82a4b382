/** A shard-node on a real Postgres and a real NATS, asked as the balancer asks it. */
import type { ApplyReply, NodeReadReply, PingReply } from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';
import { nodeSubject, type NodeVerb } from '#common/contracts/subjects';
import { createLogger } from '#common/logging/logger';
import { connectNats, request, type NatsConnection } from '#common/nats/connection';
import { requestJson } from '#common/nats/codec';
import type { Message } from '#common/nats/message';
import { NODE_MESSAGES } from '#common/nats/node-messages';
import { encodeLines, type Lines } from '#common/nats/lines';
import { decodeLines } from '#common/testing/decode-lines';
import { ODD_KEYS } from '#common/testing/odd-names';
import { TestNatsServer } from '#common/testing/nats-server';
import { SCHEMA, shardConfig } from '../../test/support/builders';
import { runSql, TestPostgres } from '../../test/support/test-postgres';
import type { PostgresAddress } from '../adapters/postgres/data-source';
import { parseShardNodeConfig } from '#common/config/shard-node-config';
import { ShardNode } from './shard-node';

jest.setTimeout(60_000);

const logger = createLogger('test', 'silent');
const TIMEOUT_MS = 10_000;
let postgres: TestPostgres;
let server: TestNatsServer;
let nats: NatsConnection;
let address: PostgresAddress;
let node: ShardNode;

beforeAll(async () => {
  [postgres, server] = await Promise.all([TestPostgres.start(), TestNatsServer.start()]);
  nats = await connectNats([server.url], 'test');
});

afterAll(async () => {
  await nats.close();
  await Promise.all([postgres.stop(), server.stop()]);
});

function startNode(name: string, at: PostgresAddress): Promise<ShardNode> {
  return ShardNode.start(parseShardNodeConfig({ SERVER_NAME: name, NATS_URL: server.url }), at, logger);
}

beforeEach(async () => {
  address = await postgres.freshDatabase();
  node = await startNode('Server0', address);
});

afterEach(async () => {
  await node.stop();
});

function ask<T extends object>(verb: NodeVerb, payload: unknown, name = 'Server0'): Promise<T> {
  const reply = NODE_MESSAGES[verb].reply as unknown as Message<T>;
  return requestJson(nats, nodeSubject(name, verb), payload, TIMEOUT_MS, reply);
}

/** Asks with rows; fails unless rows come back. */
async function askLines<H>(verb: NodeVerb, header: unknown, rows: string[] = []): Promise<Lines<H>> {
  return decodeLines<H>(await request(nats, nodeSubject('Server0', verb), encodeLines(header, rows), TIMEOUT_MS));
}

/** The code that a verb with lines is refused with. */
async function refusal(verb: NodeVerb, header: unknown): Promise<string> {
  const answer = await request(nats, nodeSubject('Server0', verb), encodeLines(header, []), TIMEOUT_MS);
  return (JSON.parse(Buffer.from(answer).toString()) as { error: { code: string } }).error.code;
}

function configure(schema: TableSchema = SCHEMA, name = 'Server0'): Promise<object> {
  return ask('config', { epoch: 1, configId: 1, schema, shards: [shardConfig('sh1')], drop: [], areNew: true }, name);
}

/** Round `round` creates `keys` at term `round`. */
function create(round: number, keys: number[], rows: string[]): Promise<Lines<ApplyReply>> {
  const ops = [{ op: 'create', onConflict: 'error', keys }];
  const part = { shard: 'sh1', vat: round - 1, firstTerm: round, lastTerm: round, ops };
  return askLines('apply', { epoch: 1, rounds: [{ round, lastTerms: { sh1: round }, parts: [part] }] }, rows);
}

function read(vat: number, low: number, high: number, maxBytes = 500_000): Promise<Lines<NodeReadReply>> {
  return askLines('read', { epoch: 1, reads: [{ shard: 'sh1', vat, low, high }], maxBytes });
}

const plain: TableSchema = { columns: ['id', 'name'], dtypes: ['Number', 'String'] };
const row = (id: number, name = 'x'): string => JSON.stringify({ id, name });

it('answers a heartbeat before and after it is configured', async () => {
  const ping = { epoch: 0, configId: 1, vats: {}, marks: {} };
  const first = await ask<PingReply>('ping', ping);
  expect(first).toMatchObject({ server: 'Server0', postgres: 'ok', epoch: 0, configId: 0, shards: [] });
  await configure();
  const second = await ask<PingReply>('ping', { ...ping, epoch: 1 });
  expect(second).toMatchObject({ instance: first.instance, configId: 1, shards: [{ shard: 'sh1', rows: 0 }] });
});

it('stores what a round says of earlier epochs, and reports it', async () => {
  await configure();
  const epochStarts = [
    { epoch: 1, vat: 0 },
    { epoch: 1, round: 1, vat: 0 },
  ];
  const part = { shard: 'sh1', vat: 0, firstTerm: 1, lastTerm: 1, ops: [], epochStarts };
  await askLines('apply', { epoch: 1, rounds: [{ round: 1, lastTerms: { sh1: 1 }, parts: [part] }] });
  const { shards } = await ask<PingReply>('ping', { epoch: 1, configId: 1, vats: {}, marks: {} });
  expect(shards).toMatchObject([{ shard: 'sh1', epochStarts }]);
});

it('takes no message with a field that it does not know', async () => {
  await configure();
  const part = { shard: 'sh1', vat: 0, firstTerm: 1, lastTerm: 1, ops: [], unheardOf: 1 };
  const round = { round: 1, lastTerms: { sh1: 1 }, parts: [part] };
  expect(await refusal('apply', { epoch: 1, rounds: [round] })).toBe('BAD_MESSAGE');
});

it('keeps every dtype as it came, in a table that people can read', async () => {
  await configure();
  const rows = [
    { id: 1, mark: 1e300, name: '', there: true, since: '2026-01-02T03:04:05Z', more: { b: [1, null, 'x\ny'], a: {} } },
    {
      id: 2,
      mark: -0.1,
      name: 'Zoë "quoted" \\ \n\t🎉',
      there: false,
      since: '1999-12-31T23:59:59.123456Z',
      more: [1e300],
    },
    { id: 999, mark: 5e-324, name: "'; DROP TABLE x; --", there: true, since: '0044-03-15T12:00:00Z', more: 'text' },
  ];
  await create(
    1,
    rows.map((one) => one.id),
    rows.map((one) => JSON.stringify(one)),
  );
  const page = await read(1, 0, 999);
  expect(page.rows.map((text) => JSON.parse(text) as unknown)).toEqual(rows);
  expect(page.rows[1]).toContain('"more":[1e+300]}');
  expect(page.header.pages).toEqual([{ count: 3, next: null }]);
  const stored = await runSql(address, 'SELECT id, there, since, cat, dat FROM shards.sh1 ORDER BY id LIMIT 1');
  expect(stored).toEqual([
    { id: '1', there: true, since: new Date('2026-01-02T03:04:05Z'), cat: '1', dat: '9223372036854775807' },
  ]);
});

it('takes any allowed name for columns and shards', async () => {
  const columns = ['select', 'a-b[1]', 'constructor', '__proto__', 'x'.repeat(63)];
  const schema: TableSchema = { columns, dtypes: ['Number', 'String', 'Number', 'Boolean', 'JSON'] };
  const shards = ['table', 'Table', '_[2]-', 'y'.repeat(63)].map((shard, index) => shardConfig(shard, index * 10, 10));
  await ask('config', { epoch: 1, configId: 1, schema, shards, drop: [], areNew: true });
  const text = `{"select":7,"a-b[1]":"q","constructor":1,"__proto__":true,"${'x'.repeat(63)}":null}`;
  const part = {
    shard: 'table',
    vat: 0,
    firstTerm: 1,
    lastTerm: 1,
    ops: [{ op: 'create', onConflict: 'error', keys: [7] }],
  };
  await askLines('apply', { epoch: 1, rounds: [{ round: 1, lastTerms: { table: 1 }, parts: [part] }] }, [text]);
  const reads = [{ shard: 'table', vat: 1, low: 0, high: 9 }];
  expect((await askLines('read', { epoch: 1, reads, maxBytes: 1000 })).rows).toEqual([text]);
});

it('refuses rows that do not fit the table, and nothing of them is stored', async () => {
  await configure(plain);
  await create(1, [1], [row(1)]);
  const bad = ['{"id":2,"name":null}', '{"id":2}', '{"id":2,"name":"\\u0000"}', 'no json'];
  for (const text of bad) {
    const answer = await request(
      nats,
      nodeSubject('Server0', 'apply'),
      encodeLines(applyHeader(2, [3, 2]), [row(3), text]),
      TIMEOUT_MS,
    );
    expect(JSON.parse(Buffer.from(answer).toString())).toMatchObject({ error: { code: 'BAD_REQUEST' } });
  }
  await create(2, [2], [row(2)]);
  expect((await read(2, 0, 9)).rows).toEqual([row(1), row(2)]);
});

function applyHeader(round: number, keys: number[]): object {
  const ops = [{ op: 'create', onConflict: 'error', keys }];
  const parts = [{ shard: 'sh1', vat: round - 1, firstTerm: round, lastTerm: round, ops }];
  return { epoch: 1, rounds: [{ round, lastTerms: { sh1: round }, parts }] };
}

it('pages by bytes, whatever the sizes of the rows', async () => {
  await configure(plain);
  const rows = Array.from({ length: 300 }, (_, id) => row(id, 'x'.repeat(id === 150 ? 2_000_000 : id % 50)));
  await create(1, [...rows.keys()], rows);
  const texts: string[] = [];
  let pages = 0;
  for (let low: number | null = 0; low !== null; pages += 1) {
    const page: Lines<NodeReadReply> = await read(1, low, 999, 4_096);
    if (page.rows.length > 1) expect(page.rows.join(',\n').length).toBeLessThanOrEqual(4_096);
    texts.push(...page.rows);
    low = page.header.pages[0]?.next ?? null;
  }
  expect(texts).toEqual(rows);
  expect(pages).toBeLessThan(15);
});

it('finds everything again after a restart, and refuses the data of another server', async () => {
  await configure(plain);
  await create(1, [1, 2], [row(1), row(2)]);
  await ask('fence', { epoch: 7 });
  await node.stop();
  await expect(startNode('Server9', address)).rejects.toThrow(/belong to server Server0/);
  node = await startNode('Server0', address);
  const { shards } = await ask<PingReply>('ping', { epoch: 7, configId: 1, vats: {}, marks: {} });
  expect(shards).toMatchObject([{ shard: 'sh1', currentTerm: 1, rows: 2, newestRound: { epoch: 1, round: 1 } }]);
  await expect(ask('fence', { epoch: 6 })).rejects.toMatchObject({ code: 'FENCED' });
});

it('notices when its rows of term_t were changed by somebody else, and goes on from what is stored', async () => {
  await configure(plain);
  await create(1, [1], [row(1)]);
  await runSql(address, 'UPDATE term_t SET current_term = 5, version = version + 1');
  const answer = await request(
    nats,
    nodeSubject('Server0', 'apply'),
    encodeLines(applyHeader(2, [2]), [row(2)]),
    TIMEOUT_MS,
  );
  expect(JSON.parse(Buffer.from(answer).toString())).toMatchObject({ error: { code: 'STORE_FAILED' } });
  expect((await ask<PingReply>('ping', { epoch: 1, configId: 1, vats: {}, marks: {} })).shards).toMatchObject([
    { currentTerm: 5 },
  ]);
});

it('copies a shard from another server over NATS', async () => {
  await configure(plain);
  const rows = Array.from({ length: 500 }, (_, id) => row(id, 'y'.repeat(50)));
  await create(1, [...rows.keys()], rows);
  const other = await startNode('Server1', await postgres.freshDatabase());
  try {
    await configure(plain, 'Server1');
    const catchup = { epoch: 1, turn: 1, shard: 'sh1', source: 'Server0', from: 0, to: 1, maxBytes: 1_000_000 };
    expect(await ask('catchup', catchup, 'Server1')).toMatchObject({ rows: 500, next: null });
    const digest = { epoch: 1, shard: 'sh1', vat: 1 };
    expect(await ask('digest', digest, 'Server1')).toEqual(await ask('digest', digest));
    const lost = { ...catchup, turn: 2, source: 'Nobody' };
    await expect(ask('catchup', lost, 'Server1')).rejects.toMatchObject({ code: 'SHARD_UNAVAILABLE', retryable: true });
  } finally {
    await other.stop();
  }
});

it.each(ODD_KEYS)('copies a shard whose key is called %s, and both copies are alike', async (key) => {
  const schema: TableSchema = { columns: [key, 'other', 'j2'], dtypes: ['Number', 'String', 'String'] };
  // Texts sort the other way round than keys.
  const rows = Array.from({ length: 10 }, (_, id) => JSON.stringify({ [key]: id, other: `${99 - id}`, j2: 'x' }));
  await configure(schema);
  await create(1, [...rows.keys()], rows);
  const other = await startNode('Server1', await postgres.freshDatabase());
  try {
    await configure(schema, 'Server1');
    const page = { epoch: 1, turn: 1, shard: 'sh1', source: 'Server0', from: 0, to: 1, maxBytes: 1_000_000 };
    expect(await ask('catchup', page, 'Server1')).toMatchObject({ rows: 10, next: null });
    const digest = { epoch: 1, shard: 'sh1', vat: 1 };
    const own = await ask<object>('digest', digest);
    expect(own).toMatchObject({ rows: 10 });
    expect(await ask('digest', digest, 'Server1')).toEqual(own);
  } finally {
    await other.stop();
  }
});

it('finishes and answers what is in flight when it stops', async () => {
  await configure(plain);
  const writes = Array.from({ length: 20 }, (_, index) => create(index + 1, [index], [row(index)]));
  await nats.flush();
  await node.stop();
  const done = await Promise.allSettled(writes);
  const rows = await runSql(address, 'SELECT count(*)::int AS count FROM shards.sh1');
  expect(rows).toEqual([{ count: done.filter((one) => one.status === 'fulfilled').length }]);
  expect(done.filter((one) => one.status === 'rejected')).toEqual([]);
  node = await startNode('Server0', address);
});

it('reports that Postgres is down when it is', async () => {
  await configure(plain);
  await postgres.pause();
  try {
    const ping = { epoch: 1, configId: 1, vats: {}, marks: {} };
    expect(await ask<PingReply>('ping', ping)).toMatchObject({ postgres: 'down' });
  } finally {
    postgres.resume();
  }
  expect(await ask<PingReply>('ping', { epoch: 1, configId: 1, vats: {}, marks: {} })).toMatchObject({
    postgres: 'ok',
  });
});

it('goes on when its Postgres was killed and is there again: it says so, and refuses, while that is gone', async () => {
  await configure(plain);
  await create(1, [1], [row(1)]);
  const ping = { epoch: 1, configId: 1, vats: {}, marks: {} };
  await postgres.crash(async () => {
    const part = { shard: 'sh1', vat: 1, firstTerm: 2, lastTerm: 2, ops: [{ op: 'delete', key: 1 }] };
    const apply = { epoch: 1, rounds: [{ round: 2, lastTerms: { sh1: 2 }, parts: [part] }] };
    expect(await refusal('apply', apply)).toBe('STORE_FAILED');
    const read = { epoch: 1, reads: [{ shard: 'sh1', vat: 1, low: 1, high: 1 }], maxBytes: 1000 };
    expect(await refusal('read', read)).toBe('STORE_FAILED');
    for (let i = 0; i < 3; i += 1) {
      expect(await ask<PingReply>('ping', ping)).toMatchObject({
        postgres: 'down',
        epoch: 1,
        shards: [{ currentTerm: 1 }],
      });
    }
  });
  expect(await ask<PingReply>('ping', ping)).toMatchObject({ postgres: 'ok', shards: [{ currentTerm: 1, rows: 1 }] });
  expect((await create(2, [2], [row(2)])).header.rounds).toHaveLength(1);
});

it.each<[NodeVerb, string]>([
  ['apply', ''],
  ['apply', '[]'],
  ['apply', '[{"epoch":1}]'],
  ['apply', '[{"epoch":1,"rounds":[{"round":1,"lastTerms":{},"parts":[{"shard":"sh1"}]}]}]'],
  ['apply', '[{"epoch":1e999,"rounds":[]}]'],
  ['read', '[{"epoch":1,"reads":[{"shard":"sh1","vat":0,"low":0.5,"high":1}],"maxBytes":10}]'],
  ['read', '{"epoch":1,"reads":[],"maxBytes":1e12}'],
  ['copy', '[null]'],
  ['config', '{"epoch":1,"configId":1,"schema":{"columns":["a\\"b"],"dtypes":["Number"]},"shards":[],"drop":[]}'],
  [
    'config',
    '{"epoch":1,"configId":1,"schema":{"columns":["a","CAT"],"dtypes":["Number","String"]},"shards":[],"drop":[]}',
  ],
  ['config', '{"epoch":1,"configId":1,"schema":{"columns":["a"],"dtypes":["String"]},"shards":[],"drop":[]}'],
  ['ping', 'ping'],
  ['fence', '{"epoch":-1}'],
  ['catchup', '{"epoch":1,"turn":1,"shard":"sh1","source":"Server1","from":0,"to":1}'],
  ['digest', '"digest"'],
])('answers BAD_MESSAGE to %s with %s', async (verb, payload) => {
  const answer = await request(nats, nodeSubject('Server0', verb), payload, TIMEOUT_MS);
  expect(JSON.parse(Buffer.from(answer).toString())).toMatchObject({ error: { code: 'BAD_MESSAGE' } });
});
