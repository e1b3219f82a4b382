/** A real gateway on a real NATS server, and nobody who leads: what does not need a cluster is all there. */
import { connect as connectTcp } from 'node:net';
import Ajv2020 from 'ajv/dist/2020';
import { createLogger } from '#common/logging/logger';
import { TestNatsServer } from '#common/testing/nats-server';
import { parseGatewayConfig } from '#common/config/gateway-config';
import { HELP } from '../http/system/help';
import { Gateway } from './gateway';

const BODY_LIMIT = 100_000;
const logger = createLogger('gateway', 'silent');
let nats: TestNatsServer;
let gateway: Gateway;

beforeAll(async () => {
  nats = await TestNatsServer.start();
  gateway = await start({ HOLD_MS: '100' });
}, 30_000);

afterAll(async () => {
  await gateway.stop();
  await nats.stop();
});

function start(env: Record<string, string>): Promise<Gateway> {
  const settings = { PORT: '0', NATS_URL: nats.url, BODY_LIMIT: String(BODY_LIMIT), ...env };
  return Gateway.start(parseGatewayConfig(settings), logger);
}

interface Failure {
  message: string;
  status: string;
}

async function failureOf(answer: Response): Promise<Failure> {
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  const failure = (await answer.json()) as Failure;
  expect(Object.keys(failure).sort()).toEqual(['message', 'status']);
  expect(failure).toMatchObject({ status: 'failure', message: expect.stringMatching(/^<Error> /) as string });
  return failure;
}

/** Sends bytes as they are and returns what comes back until the connection ends. */
function raw(text: string): Promise<string> {
  const { hostname, port } = new URL(gateway.url);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connectTcp(Number(port), hostname, () => socket.write(text));
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('end', () => {
      resolve(answer);
    });
    socket.on('error', reject);
  });
}

test.each(['GET', 'POST', 'DELETE', 'PATCH'])('%s on a path that does not exist is 404', async (method) => {
  const answer = await fetch(`${gateway.url}//yolo/?x=1`, { method });
  expect(answer.status).toBe(404);
  expect((await failureOf(answer)).message).toBe("<Error> '/yolo' endpoint does not exist");
});

test.each([
  ['GET', '/init', 'POST'],
  ['POST', '/status', 'GET, HEAD'],
  ['DELETE', '/write', 'POST'],
  ['PUT', '/read', 'GET, HEAD, POST'],
  ['POST', '/update', 'PUT'],
  ['GET', '/del', 'DELETE'],
  ['OPTIONS', '/rm', 'DELETE'],
  ['PATCH', '//add/', 'POST'],
])('%s %s is 405 and says what is allowed', async (method, path, allowed) => {
  const answer = await fetch(gateway.url + path, { method });
  expect(answer.status).toBe(405);
  expect(answer.headers.get('allow')).toBe(allowed);
  await failureOf(answer);
});

test('HEAD has the headers of GET and no body', async () => {
  const [head, get] = await Promise.all([
    fetch(`${gateway.url}/help`, { method: 'HEAD' }),
    fetch(`${gateway.url}/help`),
  ]);
  expect(head.status).toBe(200);
  expect(head.headers.get('content-length')).toBe(get.headers.get('content-length'));
  expect(await head.text()).toBe('');
});

test.each([
  ['POST', '/init'],
  ['POST', '/add'],
  ['DELETE', '/rm'],
  ['POST', '/write'],
  ['PUT', '/update'],
  ['DELETE', '/del'],
  ['POST', '/read'],
])('%s %s: broken JSON is 400, too much of it 413', async (method, path) => {
  for (const body of ['{', '{"a":', 'undefined', new Uint8Array([0x22, 0xff, 0x22])]) {
    const broken = await fetch(gateway.url + path, { method, body });
    expect(broken.status).toBe(400);
    await failureOf(broken);
  }
  const large = await fetch(gateway.url + path, { method, body: ' '.repeat(BODY_LIMIT + 1) });
  expect(large.status).toBe(413);
  expect((await failureOf(large)).message).toMatch(/BODY_LIMIT/);
});

test('a body in chunks is counted too', async () => {
  const chunk = `${(60_000).toString(16)}\r\n${'x'.repeat(60_000)}\r\n`;
  const head = 'POST /write HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
  expect(await raw(`${head}${chunk}${chunk}0\r\n\r\n`)).toMatch(/^HTTP\/1.1 413 /);
});

test.each([
  ['no HTTP', 'HELLO\r\n\r\n', 400],
  ['an unknown method', 'FETCH /status HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['two lengths', 'POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}', 400],
  ['huge headers', `GET /status HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(50_000)}\r\n\r\n`, 431],
  ['a path that cannot be decoded', 'GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400],
])('%s is answered in the same form', async (_, text, status) => {
  const answer = await raw(text);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ status: 'failure' });
});

test.each<[string, string, string | undefined]>([
  ['POST', '/read', '{"Stud_id":1}'],
  ['GET', '/read?low=1&high=2', undefined],
  ['POST', '/write', '{"data":[]}'],
  ['PUT', '/update', '{"Stud_id":1,"data":{}}'],
  ['DELETE', '/del', '{"Stud_id":1}'],
  ['POST', '/init', '{"shards":[{"Stud_id_low":0,"Shard_id":"a","Shard_size":1}]}'],
  ['POST', '/add', '{"n":1,"servers":{"a":[]}}'],
  ['DELETE', '/rm', '{"n":1}'],
  ['GET', '/status', undefined],
  ['GET', '/readyz', undefined],
  ['GET', '/operations/x', undefined],
])('%s %s with nobody leading is 503 and says when to ask again', async (method, path, body) => {
  const answer = await fetch(gateway.url + path, { method, ...(body === undefined ? {} : { body }) });
  expect(answer.status).toBe(503);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  await failureOf(answer);
});

describe.each([
  ['POST', '/write', '{"data":[{}]}'],
  ['PUT', '/update', '{"Stud_id":1,"data":{}}'],
  ['DELETE', '/del', '{"Stud_id":1}'],
])('%s %s', (method, path, body) => {
  const change = (headers: Record<string, string> = {}): Promise<Response> =>
    fetch(gateway.url + path, { method, body, headers });

  test('has an id of its own each time, and says how to ask what became of it', async () => {
    const answers = await Promise.all([change(), change()]);
    const ids = answers.map((answer) => answer.headers.get('operation-id')!);
    expect(new Set(ids).size).toBe(2);
    for (const [index, answer] of answers.entries()) {
      expect(answer.status).toBe(503);
      expect((await failureOf(answer)).message).toContain(`GET /operations/${ids[index]!}`);
    }
  });

  test("has the client's id when there is one", async () => {
    const id = '!"#a/b?c%20~';
    const answer = await change({ 'Idempotency-Key': id });
    expect(answer.headers.get('operation-id')).toBe(id);
    expect((await failureOf(answer)).message).toContain(`GET /operations/${encodeURIComponent(id)}`);
    expect((await fetch(`${gateway.url}/operations/${encodeURIComponent(id)}`)).status).toBe(503);
  });

  test.each(['', 'a b', 'ä', 'x'.repeat(129)])('takes no id like %j', async (id) => {
    const answer = await change({ 'Idempotency-Key': id });
    expect(answer.status).toBe(400);
    expect((await failureOf(answer)).message).toMatch(/Idempotency-Key/);
  });
});

test('an id of an operation is as long as it may be, and valid', async () => {
  const ask = (id: string): Promise<Response> => fetch(`${gateway.url}/operations/${encodeURIComponent(id)}`);
  expect((await ask('%'.repeat(128))).status).toBe(503);
  expect((await ask('a b')).status).toBe(400);
  expect((await ask('x'.repeat(129))).status).toBe(400);
});

test('it lives, and its figures are there, without a leader', async () => {
  expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(text).toMatch(/shardline_gateway_request_seconds_count\{[^}]*route="\/healthz"[^}]*\} 1\n/);
  expect(text).toMatch(/^# the leader's metrics are missing: NO_LEADER$/m);
});

test('the OpenAPI page needs no network', async () => {
  const page = await (await fetch(`${gateway.url}/docs`)).text();
  const links = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link!);
  expect(links.length).toBeGreaterThan(2);
  for (const link of links) {
    expect(link).toMatch(/^\//);
    expect((await fetch(gateway.url + link)).status).toBe(200);
  }
});

describe('the OpenAPI description', () => {
  interface Description {
    paths: Record<string, Record<string, { requestBody?: object }>>;
    components: { schemas: object };
  }
  const described = async (): Promise<Description> =>
    (await (await fetch(`${gateway.url}/docs-json`)).json()) as Description;

  test('has the routes that there are, as /help has them', async () => {
    const { paths } = await described();
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect([...routes, 'GET /docs'].sort()).toEqual(HELP.routes.map(({ route }) => route).sort());
    for (const route of routes) {
      const [method, path] = route.split(' ');
      expect((await fetch(gateway.url + path!, { method: method! })).status).not.toBe(405);
    }
  });

  test('takes the examples of /help', async () => {
    const description = await described();
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema({ $id: 'api', components: description.components });
    for (const { route, example } of HELP.routes.filter((help) => help.example !== undefined)) {
      const [method, path] = route.split(' ');
      const body = description.paths[path!]?.[method!.toLowerCase()]?.requestBody as {
        content: { 'application/json': { schema: object } };
      };
      const schema = JSON.parse(
        JSON.stringify(body.content['application/json'].schema).replaceAll('"#/', '"api#/'),
      ) as object;
      expect([route, ajv.validate(schema, example), ajv.errorsText()]).toEqual([route, true, 'No errors']);
      expect(ajv.validate(schema, [])).toBe(false);
    }
  });
});

test('a BODY_LIMIT that the broker could not carry stops the start', async () => {
  await expect(start({ BODY_LIMIT: '64000000' })).rejects.toThrow(
    /^wrong configuration: BODY_LIMIT is 64000000, .*max_payload/,
  );
});

test('a stop answers what has been asked, ends its connection, and takes nothing new', async () => {
  const stopped = await start({ HOLD_MS: '1000' });
  const asked = fetch(`${stopped.url}/status`);
  // The answer to a second request shows that the first one has arrived, too.
  await fetch(`${stopped.url}/healthz`);
  const stopping = stopped.stop();
  const answer = await asked;
  expect(answer.status).toBe(503);
  expect(answer.headers.get('connection')).toBe('close');
  await stopping;
  await expect(fetch(`${stopped.url}/healthz`)).rejects.toThrow();
});
