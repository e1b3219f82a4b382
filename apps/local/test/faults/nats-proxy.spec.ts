import { connect, type Msg, type NatsConnection } from 'nats';
import { connectNats } from '#common/nats/connection';
import { TestNatsServer } from '#common/testing/nats-server';
import { Chance } from './chance';
import { NatsProxy, type Treatment } from './nats-proxy';

let server: TestNatsServer;
let proxy: NatsProxy;
const connections: NatsConnection[] = [];

beforeAll(async () => {
  server = await TestNatsServer.start();
});
afterAll(async () => {
  await server.stop();
});
beforeEach(async () => {
  proxy = await NatsProxy.open(server.port, new Chance(1));
});
afterEach(async () => {
  await Promise.all(connections.splice(0).map((nats) => nats.close()));
  await proxy.close();
});

async function client(name: string, url = proxy.url): Promise<NatsConnection> {
  const nats = await connect({ servers: url, name, reconnectTimeWait: 20, maxReconnectAttempts: -1 });
  connections.push(nats);
  return nats;
}

/** A client that answers every question with the question. */
async function echo(name: string): Promise<NatsConnection> {
  const nats = await client(name);
  nats.subscribe(`echo.${name}`, { callback: (_error, message) => message.respond(message.data) });
  await nats.flush();
  return nats;
}

/** What the client notices of its connection. */
async function* statesOf(nats: NatsConnection): AsyncGenerator<string> {
  for await (const { type } of nats.status()) yield type;
}

const only =
  (victim: string, treatment: Treatment) =>
  (name: string): Treatment | undefined =>
    name === victim ? treatment : undefined;

test('a connection that stands still breaks nothing off and loses nothing; the others do not notice', async () => {
  await echo('left');
  await echo('right');
  const asker = await client('asker', server.url);
  proxy.treat(only('left', { how: 'stall' }));
  const answers: string[] = [];
  const ask = async (name: string, text: string): Promise<void> => {
    answers.push((await asker.request(`echo.${name}`, text, { timeout: 20_000 })).string());
  };
  const late = ask('left', 'late');
  // Each of these has gone there and come back since.
  for (const text of ['1', '2', '3']) await ask('right', text);
  expect(answers).toEqual(['1', '2', '3']);
  proxy.heal();
  await late;
  expect(answers).toEqual(['1', '2', '3', 'late']);
});

test('one that comes while its name is cut off does not get through', async () => {
  proxy.treat(only('left', { how: 'stall' }));
  await expect(connect({ servers: proxy.url, name: 'left', timeout: 300, reconnect: false })).rejects.toThrow();
  proxy.treat(only('left', { how: 'break' }));
  await expect(connect({ servers: proxy.url, name: 'left', timeout: 300, reconnect: false })).rejects.toThrow();
  await client('right');
});

test('a service that starts while it is cut off gets through soon after', async () => {
  let broken = 0;
  const twice = new Promise<string>((resolve) => {
    proxy.treat((name) => {
      if (name !== 'left') return undefined;
      broken += 1;
      if (broken === 2) resolve('cut off');
      return { how: 'break' };
    });
  });
  const connecting = connectNats([proxy.url], 'left');
  await expect(Promise.race([connecting, twice])).resolves.toBe('cut off');
  proxy.heal();
  connections.push(await connecting);
});

test('a broken connection is made again once that is allowed', async () => {
  const left = await echo('left');
  const asker = await client('asker', server.url);
  const states = statesOf(left);
  proxy.treat(only('left', { how: 'break' }));
  expect(await states.next()).toMatchObject({ value: 'disconnect' });
  await expect(asker.request('echo.left', 'lost', { timeout: 200 })).rejects.toThrow();
  proxy.heal();
  for (let state = await states.next(); state.value !== 'reconnect';) state = await states.next();
  await left.flush();
  expect((await asker.request('echo.left', 'here')).string()).toBe('here');
});

test('messages are lost, repeated and overtaken as it was asked for, and nothing else is', async () => {
  const reader = await client('reader', server.url);
  const writer = await client('writer');
  const receive = async (treatment: Treatment, wanted: number): Promise<string[]> => {
    proxy.treat(only('writer', treatment));
    const got: string[] = [];
    const subscription = reader.subscribe('news');
    const news = subscription[Symbol.asyncIterator]();
    const next = async (): Promise<string> => {
      const { value } = await news.next();
      return (value as Msg).string();
    };
    await reader.flush();
    for (let number = 0; number < 200; number += 1) writer.publish('news', String(number));
    await writer.flush();
    while (got.length < wanted) got.push(await next());
    proxy.heal();
    writer.publish('news', 'end');
    for (let text = await next(); text !== 'end'; text = await next()) got.push(text);
    subscription.unsubscribe();
    return got;
  };
  const all = Array.from({ length: 200 }, (_, number) => String(number));
  const kept = await receive({ how: 'harm', lose: 0.5, repeat: 0, delay: 0, lateMs: 1 }, 0);
  expect(kept.length).toBeGreaterThan(50);
  expect(kept.length).toBeLessThan(150);
  expect(kept).toEqual(all.filter((number) => kept.includes(number)));
  const twice = await receive({ how: 'harm', lose: 0, repeat: 1, delay: 0, lateMs: 1 }, 400);
  expect([...twice].sort()).toEqual([...all, ...all].sort());
  const late = await receive({ how: 'harm', lose: 0, repeat: 0, delay: 0.3, lateMs: 50 }, 200);
  expect([...late].sort()).toEqual([...all].sort());
  expect(late).not.toEqual(all);
});
