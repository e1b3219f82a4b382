/** What a client gets that does not speak HTTP as it should, over bare sockets: an answer in the one form there is for failures. */
import { once } from 'node:events';
import { METHODS } from 'node:http';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { GatewayMetrics } from '../http/system/gateway-metrics';
import { failureBody } from '../http/error-status';
import { JSON_TYPE } from '../http/replies';
import { RouteTable } from '../http/routes';
import { createHttpAdapter } from './http-server';

let server: FastifyInstance;
let port: number;
/** Answers of `/slow` that have not been let go. */
const slow: (() => void)[] = [];

beforeAll(async () => {
  const routes = new RouteTable();
  const adapter = createHttpAdapter(routes, new GatewayMetrics(), { requestDeadlineMs: 400, lookEveryMs: 50 });
  server = adapter.getInstance();
  server.get('/status', (_, reply) => reply.type(JSON_TYPE).send('{"status":"success"}'));
  server.get('/slow', async (_, reply) => {
    await new Promise<void>((resolve) => slow.push(resolve));
    return reply.type(JSON_TYPE).send('{"status":"success"}');
  });
  server.get('/half', async (_, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-length': 20 }).write('half of it');
    await new Promise<void>((resolve) => slow.push(resolve));
    reply.raw.end(', and all.');
  });
  server.post('/write', async (request, reply) => {
    await once(request.raw.resume(), 'end');
    return reply.type(JSON_TYPE).send('{"status":"success"}');
  });
  server.post('/refused', (_, reply) => reply.code(413).type(JSON_TYPE).send(failureBody('too much')));
  server.setNotFoundHandler((request, reply) => {
    const failure = routes.failure(request.method, request.raw.url ?? '');
    return reply.code(failure.status).headers(failure.headers).type(JSON_TYPE).send(failureBody(failure.message));
  });
  await server.listen({ port: 0, host: '127.0.0.1' });
  ({ port } = server.server.address() as AddressInfo);
});

afterAll(async () => {
  await server.close();
});

async function open(): Promise<Socket> {
  const socket = connectTcp(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** Everything that comes until the connection ends. */
async function all(socket: Socket): Promise<string> {
  let answer = '';
  for await (const chunk of socket) answer += (chunk as Buffer).toString('latin1');
  return answer;
}

async function raw(text: string): Promise<string> {
  const socket = await open();
  socket.write(text, 'latin1');
  return all(socket);
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** Cuts what came into answers. @throws when it is not whole answers and nothing else */
function answersIn(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n');
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const status = /^HTTP\/1\.1 (\d{3}) \S/.exec(first)?.[1];
    if (end === -1 || status === undefined) throw new Error(`no answer: ${JSON.stringify(rest)}`);
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const length = Number(headers['content-length'] ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    if (body.length !== length) throw new Error(`half an answer: ${JSON.stringify(rest)}`);
    if (status !== '100') answers.push({ status: Number(status), headers, body });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

function expectFailure(answer: Answer | undefined, status: number, message = /./): void {
  expect(answer?.status).toBe(status);
  expect(answer?.headers['content-type']).toBe(JSON_TYPE);
  const body = JSON.parse(answer?.body ?? '') as Record<string, string>;
  expect(Object.keys(body).sort()).toEqual(['message', 'status']);
  expect(body.status).toBe('failure');
  expect(body.message).toMatch(/^<Error> /);
  expect(body.message).toMatch(message);
}

const HOST = 'Host: x\r\n';
test.each<[string, string, number]>([
  ['no Host', 'GET /status HTTP/1.1\r\n\r\n', 400],
  ['no Host, on a path that is not there', 'GET /yolo HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', 'GET /status HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n', 400],
  ['an expectation', `POST /write HTTP/1.1\r\n${HOST}Expect: foo\r\nContent-Length: 2\r\n\r\n{}`, 417],
  ['a tunnel', `CONNECT x:443 HTTP/1.1\r\n${HOST}\r\n`, 405],
  ['a tunnel without a Host', 'CONNECT x:443 HTTP/1.1\r\n\r\n', 405],
  ['no HTTP', 'HELLO\r\n\r\n', 400],
  ['a line feed and nothing else', '\n\0\n', 400],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['HTTP/9.9', `GET /status HTTP/9.9\r\n${HOST}\r\n`, 400],
  ['a method in lower case', `get /status HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an unknown method', `FETCH /status HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['no path', `GET HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a blank in the path', `GET /sta tus HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a path that cannot be decoded', `GET /%zz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 400],
  ['a header without a colon', `GET /status HTTP/1.1\r\n${HOST}Nonsense\r\n\r\n`, 400],
  ['a header with NUL', `GET /status HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400],
  ['a blank before the colon', `GET /status HTTP/1.1\r\n${HOST}X : a\r\n\r\n`, 400],
  ['two lengths', `POST /write HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`, 400],
  ['a length that is none', `POST /write HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`, 400],
  [
    'a length and chunks',
    `POST /write HTTP/1.1\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
    400,
  ],
  ['an encoding that is none', `POST /write HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip\r\n\r\n`, 400],
  ['a chunk of no size', `POST /write HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`, 400],
  ['huge headers', `GET /status HTTP/1.1\r\n${HOST}X: ${'y'.repeat(50_000)}\r\n\r\n`, 431],
  ['a huge path', `GET /${'y'.repeat(50_000)} HTTP/1.1\r\n${HOST}\r\n`, 431],
  ['many headers', `GET /status HTTP/1.1\r\n${HOST}${'X: y\r\n'.repeat(10_000)}\r\n`, 431],
  ['a request that does not end', `GET /status HTTP/1.1\r\n${HOST}`, 408],
  ['a request that is half a line', 'GET /sta', 408],
  ['a body that does not end', `POST /write HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\n{`, 408],
  ['all methods of the server', `OPTIONS * HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 404],
  ['a trace', `TRACE /status HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 405],
])('%s is answered, and the connection ends', async (_, text, status) => {
  const answers = answersIn(await raw(text));
  expect(answers).toHaveLength(1);
  expectFailure(answers[0], status);
  expect(answers[0]?.headers.connection).toBe('close');
});

test('a tunnel hears what is taken', async () => {
  const [answer] = answersIn(await raw(`CONNECT x:443 HTTP/1.1\r\n${HOST}\r\n`));
  expect(answer?.headers.allow).toBe('GET, HEAD, POST');
});

test.each(METHODS.filter((method) => !['GET', 'HEAD', 'CONNECT'].includes(method)))(
  '%s is answered with 405',
  async (method) => {
    const [answer] = answersIn(await raw(`${method} /status HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`));
    expectFailure(answer, 405);
  },
);

test.each([
  ['HTTP/0.9, which has no headers', 'GET /status\r\n\r\n'],
  ['HTTP/1.0 without a Host', 'GET /status HTTP/1.0\r\n\r\n'],
  ['an empty Host', 'GET /status HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'],
  [
    'an upgrade that we do not know',
    `GET /status HTTP/1.1\r\n${HOST}Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
  ],
  ['an upgrade to HTTP/2', `GET /status HTTP/1.1\r\n${HOST}Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n`],
  [
    'somebody who waits for leave to continue',
    `POST /write HTTP/1.1\r\n${HOST}Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}`,
  ],
])('%s is served', async (_, text) => {
  const answers = answersIn(await raw(text));
  expect(answers.map(({ status }) => status)).toEqual([200]);
});

test.each(['/slow', '/half'])('nonsense behind two requests for %s is answered behind their answers', async (path) => {
  const socket = await open();
  socket.write(`GET ${path} HTTP/1.1\r\n${HOST}\r\nGET ${path} HTTP/1.1\r\n${HOST}\r\nNONSENSE\r\n\r\nMORE`);
  while (slow.length < 2) await new Promise((resolve) => setImmediate(resolve));
  for (const letGo of slow.splice(0)) letGo();
  const answers = answersIn(await all(socket));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 400]);
  expectFailure(answers[2], 400);
});

test('nonsense within a body that has been answered already ends the connection, and nothing else', async () => {
  const socket = await open();
  socket.write(`POST /refused HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`);
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.write('NONSENSE\r\n');
  const answers = answersIn(first.toString() + (await all(socket)));
  expect(answers.map(({ status }) => status)).toEqual([413]);
});
