/** The whole HTTP contract on the real cluster: the tests of this file build on one another, from an empty cluster on. */
import { asker, type Ask } from '#common/testing/asker';
import { sharedCluster } from '#common/testing/cluster-harness';
import { createLogger } from '#common/logging/logger';
import { parseGatewayConfig } from '#common/config/gateway-config';
import { Gateway } from '../src/runtime/gateway';
import { failure, PUBLISHED, student, success } from './asking';

jest.setTimeout(120_000);

const shared = sharedCluster();
const { ask } = shared;

interface Status {
  N: number;
  shards: Record<string, unknown>[];
  servers: Record<string, string[]>;
}
const statusNow = async (): Promise<Status> => (await ask('GET', '/status')).body as Status;
const added = (count: number): unknown => success({ message: `${count} Data entries added`, status: 'success' });
const rows = (shards: string[], data: object[]): unknown =>
  success({ shards_queried: shards, data, status: 'success' });

describe('before /init', () => {
  test('the status has no servers', async () => {
    expect(await ask('GET', '/status')).toMatchObject({
      status: 200,
      body: { N: 0, schema: null, shards: [], servers: {}, status: 'success' },
    });
  });

  test.each([
    ['POST', '/read', { Stud_id: 1 }],
    ['GET', '/read?low=1&high=2', undefined],
    ['POST', '/write', { data: [student(1)] }],
    ['POST', '/write', { data: [] }],
    ['PUT', '/update', { Stud_id: 1, data: student(1) }],
    ['DELETE', '/del', { Stud_id: 1 }],
    ['POST', '/add', { n: 1, servers: { Server9: ['sh1'] } }],
    ['DELETE', '/rm', { n: 1, servers: ['Server0'] }],
  ])('%s %s is 409 and says so', async (method, path, body) => {
    expect(await ask(method, path, body)).toEqual(failure(409, /\/init/));
  });

  test.each([
    [
      'overlapping shards',
      { ...PUBLISHED, shards: [...PUBLISHED.shards, { Stud_id_low: 4000, Shard_id: 'sh4', Shard_size: 10 }] },
    ],
    ['a shard that is not defined', { ...PUBLISHED, servers: { ...PUBLISHED.servers, Server2: ['sh1', 'sh9'] } }],
  ])('/init with %s is 400', async (_, body) => {
    expect(await ask('POST', '/init', body)).toEqual(failure(400));
    expect(await statusNow()).toMatchObject({ N: 0 });
  });
});

describe('/init', () => {
  test('configures the published example, by a path with a double slash and a smaller N', async () => {
    expect(await ask('POST', '//init', { ...PUBLISHED, N: 2 })).toEqual(
      success({ message: 'Configured Database', status: 'success' }),
    );
    expect((await ask('GET', '/readyz')).status).toBe(200);
  });

  test('again with the same configuration changes nothing', async () => {
    expect((await ask('POST', '/init', { ...PUBLISHED, N: 2 })).status).toBe(200);
    expect(await statusNow()).toMatchObject({ N: 3 });
  });

  test('with another configuration is 409 and says how to reset', async () => {
    const other = { ...PUBLISHED, shards: PUBLISHED.shards.map((shard) => ({ ...shard, Shard_size: 4000 })) };
    expect(await ask('POST', '/init', other)).toEqual(failure(409, /ALLOW_REINIT/));
  });

  test('is seen in /status', async () => {
    const { schema, shards, servers } = PUBLISHED;
    expect((await ask('GET', '/status')).body).toMatchObject({
      N: 3,
      schema,
      shards: shards.map((shard) => expect.objectContaining({ ...shard, VAT: expect.any(Number) as number }) as object),
      servers,
      status: 'success',
      leader: expect.any(String) as string,
      epoch: expect.any(Number) as number,
    });
  });
});

describe('/write', () => {
  test('adds rows, coerced where nothing is lost', async () => {
    const row = { Stud_id: '2255', Stud_name: 'GHI', Stud_marks: 27 };
    expect(await ask('POST', '/write', { data: [row, student(5000), student(9000)] })).toEqual(added(3));
    expect(await ask('POST', '/read', { Stud_id: 2255 })).toEqual(rows(['sh1'], [student(2255, 'GHI', '27')]));
  });

  test('of nothing adds nothing', async () => {
    expect(await ask('POST', '/write', { data: [] })).toEqual(added(0));
  });

  test('takes a body without a content type, or with an odd one', async () => {
    expect(await ask('POST', '/write', { data: [student(1)] }, { 'content-type': 'text/;;' })).toEqual(added(1));
    expect(await ask('POST', '/write', { DATA: [student(2)] })).toEqual(added(1));
  });

  test('of a key that exists writes nothing, in no shard', async () => {
    const data = [student(10), student(4100), student(9000)];
    expect(await ask('POST', '/write', { data })).toEqual(failure(409, /9000/));
    expect(await ask('POST', '/read', { Stud_id: 10 })).toEqual(rows(['sh1'], []));
    expect(await ask('POST', '/read', { Stud_id: 4100 })).toEqual(rows(['sh2'], []));
  });

  test('of a key outside every shard writes nothing', async () => {
    expect(await ask('POST', '/write', { data: [student(10), student(99_999)] })).toEqual(failure(400, /99999/));
    expect(await ask('POST', '/read', { Stud_id: 10 })).toEqual(rows(['sh1'], []));
  });

  test('of one key twice is 409', async () => {
    expect(await ask('POST', '/write', { data: [student(10), student(10)] })).toEqual(failure(409, /twice/));
  });

  test('may ignore or replace what exists', async () => {
    const data = [student(2255, 'first'), student(10, 'a'), student(10, 'b')];
    expect(await ask('POST', '/write?onConflict=ignore', { data })).toEqual(added(1));
    expect(await ask('GET', '/read?low=10&high=10')).toEqual(rows(['sh1'], [student(10, 'a')]));
    expect(await ask('POST', '/write?onConflict=replace', { data })).toEqual(added(2));
    expect(await ask('GET', '/read?low=10&high=10')).toEqual(rows(['sh1'], [student(10, 'b')]));
    expect(await ask('GET', '/read?low=2255&high=2255')).toEqual(rows(['sh1'], [student(2255, 'first')]));
  });
});

describe('/read', () => {
  const all = [student(1), student(2), student(10, 'b'), student(2255, 'first'), student(5000), student(9000)];

  test.each([
    ['POST', '/read', { Stud_id: { low: 0, high: 12_287 } }],
    ['GET', '/read', { stud_id: { LOW: '0', High: 12_287 } }],
    ['GET', '//read?low=0&high=12287', undefined],
  ])('%s %s finds the rows of a range by key', async (method, path, body) => {
    expect(await ask(method, path, body)).toEqual(rows(['sh1', 'sh2', 'sh3'], all));
  });

  test('includes both ends', async () => {
    expect(await ask('POST', '/read', { Stud_id: { low: 2255, high: 5000 } })).toEqual(
      rows(['sh1', 'sh2'], [student(2255, 'first'), student(5000)]),
    );
  });

  test('of a range or a key that meets no shard finds nothing', async () => {
    expect(await ask('POST', '/read', { Stud_id: { low: 50_000, high: 60_000 } })).toEqual(rows([], []));
    expect(await ask('POST', '/read', { Stud_id: -1 })).toEqual(rows([], []));
  });

  test('with low above high is 400', async () => {
    expect(await ask('POST', '/read', { Stud_id: { low: 2, high: 1 } })).toEqual(failure(400));
  });
});

describe('/update and /del', () => {
  test('replace and remove a record', async () => {
    expect(await ask('PUT', '/update', { Stud_id: 2255, data: student(2255, 'GHI', '28') })).toEqual(
      success({ message: 'Data entry for Stud_id: 2255 updated', status: 'success' }),
    );
    expect(await ask('POST', '/read', { Stud_id: 2255 })).toEqual(rows(['sh1'], [student(2255, 'GHI', '28')]));
    expect(await ask('DELETE', '/del', { Stud_id: 2255 })).toEqual(
      success({ message: 'Data entry with Stud_id:2255 removed from all replicas', status: 'success' }),
    );
    expect(await ask('POST', '/read', { Stud_id: 2255 })).toEqual(rows(['sh1'], []));
  });

  test.each([2255, 77_777])('of the absent key %d are 404', async (key) => {
    expect(await ask('PUT', '/update', { Stud_id: key, data: student(key) })).toEqual(failure(404, /Stud_id/));
    expect(await ask('DELETE', '/del', { Stud_id: key })).toEqual(failure(404, /Stud_id/));
  });

  test('an update cannot change the key', async () => {
    expect(await ask('PUT', '/update', { Stud_id: 1, data: student(3) })).toEqual(failure(400, /key/));
    expect(await ask('POST', '/read', { Stud_id: { low: 1, high: 3 } })).toEqual(
      rows(['sh1'], [student(1), student(2)]),
    );
  });
});

describe('/add', () => {
  const sh5 = { Stud_id_low: 12_288, Shard_id: 'sh5', Shard_size: 4096 };

  test.each<[string, object, RegExp]>([
    [
      'n above the servers listed',
      { n: 2, servers: { Server4: ['sh1'] } },
      /Number of new servers \(n\) is greater than/,
    ],
    ['n below the servers listed', { n: 1, servers: { Server4: ['sh1'], Server5: ['sh1'] } }, /./],
    ['a name in use', { n: 1, servers: { Server0: ['sh1'] } }, /Server0/],
    ['an undefined shard', { n: 1, servers: { Server4: ['sh9'] } }, /sh9/],
    [
      'an overlapping shard',
      { n: 1, new_shards: [{ ...sh5, Stud_id_low: 12_000 }], servers: { Server4: ['sh5'] } },
      /./,
    ],
    ['a shard name in use', { n: 1, new_shards: [{ ...sh5, Shard_id: 'sh1' }], servers: { Server4: ['sh1'] } }, /sh1/],
  ])('with %s is 400 and changes nothing', async (_, body, message) => {
    const before = await statusNow();
    expect(await ask('POST', '/add', body)).toEqual(failure(400, message));
    const after = await statusNow();
    expect([after.N, after.servers]).toEqual([before.N, before.servers]);
  });

  test('adds servers and a shard, one under a random name', async () => {
    const servers = { Server4: ['sh3', 'sh5'], 'Server[5]': ['sh2', 'sh5'] };
    const answer = await ask('POST', '/add', { n: 2, new_shards: [sh5], servers });
    expect(answer).toEqual(
      success({
        N: 5,
        message: expect.stringMatching(/^Add Server:4 and Server:\d+$/) as string,
        status: 'successful',
      }),
    );
    const status = await statusNow();
    expect(status.N).toBe(5);
    expect(status.servers).toMatchObject({ Server4: ['sh3', 'sh5'] });
    expect(await ask('POST', '/write', { data: [student(13_000)] })).toEqual(added(1));
    expect(await ask('POST', '/read', { Stud_id: { low: 9000, high: 20_000 } })).toEqual(
      rows(['sh3', 'sh5'], [student(9000), student(13_000)]),
    );
  });

  test('takes N, and no new shards', async () => {
    expect(await ask('POST', '/add', { N: 1, servers: { Server7: ['sh1'] } })).toEqual(
      success({ N: 6, message: 'Add Server:7', status: 'successful' }),
    );
  });
});

describe('/rm', () => {
  test.each<[string, object, RegExp]>([
    [
      'more names than n',
      { n: 1, servers: ['Server0', 'Server1'] },
      /Length of server list is more than removable instances/,
    ],
    ['an unknown name', { n: 1, servers: ['Server99'] }, /Server99/],
    ['more servers than there are', { n: 60 }, /./],
    ['every server', { n: 6 }, /./],
  ])('with %s is 400 and changes nothing', async (_, body, message) => {
    const before = await statusNow();
    expect(await ask('DELETE', '/rm', body)).toEqual(failure(400, message));
    const after = await statusNow();
    expect([after.N, after.servers]).toEqual([before.N, before.servers]);
  });

  test('removes the named server, and loses nothing', async () => {
    expect(await ask('DELETE', '/rm', { n: 1, servers: ['Server4'] })).toEqual(
      success({ message: { N: 5, servers: ['Server4'] }, status: 'successful' }),
    );
    expect(Object.keys((await statusNow()).servers)).not.toContain('Server4');
  });

  test('chooses by itself where too few are named', async () => {
    const before = await statusNow();
    const answer = await ask('DELETE', '/rm', { N: 1 });
    const { message } = answer.body as { message: { N: number; servers: string[] } };
    expect(answer).toEqual(success({ message: { N: 4, servers: [expect.any(String)] }, status: 'successful' }));
    expect(Object.keys(before.servers)).toContain(message.servers[0]);
    expect(await ask('POST', '/read', { Stud_id: { low: 9000, high: 20_000 } })).toEqual(
      rows(['sh3', 'sh5'], [student(9000), student(13_000)]),
    );
  });
});

describe('beside the routes of the contract', () => {
  test('/help has an example for every route', async () => {
    const { body } = await ask('GET', '/help');
    expect(body).toMatchObject({ status: 'success', routes: expect.any(Array) as unknown[] });
  });

  test("/metrics has the gateway's figures and the leader's", async () => {
    const text = (await ask('GET', '/metrics')).body as string;
    expect(text).toMatch(/^shardline_gateway_request_seconds_count\{.*route="\/write".*\} \d+$/m);
    expect(text).not.toMatch(/metrics are missing/);
    const series = text.split('\n').filter((line) => line.startsWith('# TYPE '));
    expect(new Set(series).size).toBe(series.length);
  });

  test('what has no route is 404, and no other method 405', async () => {
    expect(await ask('POST', '/yolo', { a: 1 })).toEqual(failure(404, /'\/yolo' endpoint does not exist/));
    expect(await ask('PUT', '/write', { data: [] })).toEqual(failure(405));
  });
});

describe('with a gateway of its own', () => {
  let gateway: Gateway;
  let askIt: Ask;
  const startGateway = async (env: Record<string, string>): Promise<void> => {
    const config = parseGatewayConfig({ PORT: '0', NATS_URL: shared.cluster.natsUrl, ...env });
    gateway = await Gateway.start(config, createLogger('gateway', 'silent'));
    askIt = asker(gateway.url);
  };
  afterEach(() => gateway.stop());

  test('the default for keys that exist can be another', async () => {
    await startGateway({ WRITE_ON_CONFLICT: 'ignore' });
    expect(await askIt('POST', '/write', { data: [student(1, 'other')] })).toEqual(added(0));
    expect(await askIt('POST', '/write?onConflict=error', { data: [student(1)] })).toEqual(failure(409));
  });

  test('a leader that does not answer is 504, and the outcome is said to be unknown', async () => {
    await startGateway({ REQUEST_TIMEOUT_MS: '500', HOLD_MS: '300' });
    expect(await askIt('POST', '/write', { data: [] })).toEqual(added(0));
    const balancer = shared.cluster.pidOf(await shared.cluster.leader());
    process.kill(balancer, 'SIGSTOP');
    try {
      expect(await askIt('POST', '/write?onConflict=ignore', { data: [student(1)] })).toEqual(
        failure(504, /may or may not/),
      );
      const read = await askIt('GET', '/read?low=1&high=1');
      expect([read.status, read.headers['retry-after']]).toEqual([503, '1']);
      const status = await askIt('GET', '/readyz');
      expect([status.status, Number(status.headers['retry-after'])]).toEqual([503, 1]);
    } finally {
      process.kill(balancer, 'SIGCONT');
    }
  });

  test('where ALLOW_REINIT is set another configuration drops the old data; the key is called as the schema says', async () => {
    await startGateway({ ALLOW_REINIT: 'true' });
    const init = {
      N: 2,
      schema: {
        columns: ['Roll-no', 'passed', 'born', 'extra', 'score'],
        dtypes: ['Number', 'Boolean', 'Timestamp', 'JSON', 'Number'],
      },
      shards: [
        { 'Roll-no_low': -100, Shard_id: 'low[1]', Shard_size: 100 },
        { Stud_id_low: 0, Shard_id: 'high', Shard_size: 100 },
      ],
    };
    expect((await askIt('POST', '/init', init)).status).toBe(200);
    const written = {
      'Roll-no': '-7',
      passed: 'true',
      born: '2001-02-03T04:05:06.5+05:30',
      extra: { a: [1, null, 'é'] },
      score: '2.50',
    };
    const stored = {
      'Roll-no': -7,
      passed: true,
      born: '2001-02-02T22:35:06.5Z',
      extra: { a: [1, null, 'é'] },
      score: 2.5,
    };
    expect(await askIt('POST', '/write', { data: [written] })).toEqual(added(1));
    // The other gateway still has the old schema in mind; it learns from the leader that there is a new one.
    expect(await ask('POST', '/read', { 'roll-no': { low: -100, high: 99 } })).toEqual(
      rows(['low[1]', 'high'], [stored]),
    );
    expect(await ask('DELETE', '/del', { 'Roll-no': -7 })).toEqual(
      success({ message: 'Data entry with Roll-no:-7 removed from all replicas', status: 'success' }),
    );
    expect(await ask('GET', '/status')).toMatchObject({
      body: { N: 2, shards: [{ Stud_id_low: -100, 'Roll-no_low': -100 }, {}] },
    });
  });

  test('a shard that cannot be written is 503 with Retry-After, until it can be again', async () => {
    await startGateway({ HOLD_MS: '500' });
    const servers = Object.keys((await statusNow()).servers);
    const stopped = new Set<number>();
    // Their replacements too, as they come: else the shard may be writable again before anybody has asked.
    const stopper = setInterval(() => {
      for (const server of servers) stopIfThere(server, stopped);
    }, 20);
    const row = { 'Roll-no': 5, passed: false, born: '2001-02-03T00:00:00Z', extra: null, score: 0 };
    const statuses: number[] = [];
    try {
      for (let tries = 0; tries < 40 && statuses.at(-1) !== 503; tries += 1) {
        const answer = await askIt('POST', '/write?onConflict=replace', { data: [row] });
        statuses.push(answer.status);
        if (answer.status === 503) expect([answer, answer.headers['retry-after']]).toEqual([failure(503), '1']);
      }
      expect(statuses).toContain(503);
    } finally {
      clearInterval(stopper);
      for (const pid of stopped) continueIfThere(pid);
    }
    const end = performance.now() + 60_000;
    let status = 0;
    while (status !== 200 && performance.now() < end) {
      ({ status } = await ask('POST', '/write?onConflict=replace', { data: [row] }));
    }
    expect(status).toBe(200);
  });
});

/** Between two processes of a server there is none. */
function stopIfThere(server: string, stopped: Set<number>): void {
  try {
    const pid = shared.cluster.pidOf(server);
    process.kill(pid, 'SIGSTOP');
    stopped.add(pid);
  } catch {
    // Not there now; the next look may find it.
  }
}

/** The launcher may have replaced it meanwhile. */
function continueIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It has been replaced.
  }
}
