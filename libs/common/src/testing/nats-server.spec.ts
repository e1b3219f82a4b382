import { connect } from 'nats';
import { TestNatsServer } from './nats-server';

test('what JetStream acknowledged is there after a kill and a restart on the same port', async () => {
  const server = await TestNatsServer.start();
  try {
    const first = await connect({ servers: server.url, reconnect: false });
    await (await first.jetstream().views.kv('things')).put('a', 'kept');
    const closed = first.closed();
    await server.kill();
    await closed;
    await expect(connect({ servers: server.url, reconnect: false, timeout: 1_000 })).rejects.toThrow();
    await server.restart();
    const second = await connect({ servers: server.url });
    const entry = await (await second.jetstream().views.kv('things')).get('a');
    expect(entry?.string()).toBe('kept');
    await second.close();
  } finally {
    await server.stop();
  }
});
