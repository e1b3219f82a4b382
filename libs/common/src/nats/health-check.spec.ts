import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connectNats, type NatsConnection } from './connection';
import { TestNatsServer } from '../testing/nats-server';
import { freePort } from '../testing/free-port';
import { checkHealth, serviceOf } from './health-check';

describe('the health of a container', () => {
  it.each([
    ['/sbin/docker-init -- node dist/apps/shard-node/main.js', 'shard-node'],
    ['node dist/apps/gateway/main.js', 'gateway'],
    ['node /shardline/dist/apps/balancer/main.js --x', 'balancer'],
    ['node dist/apps/local/main.js run', undefined],
    ['sleep 1000', undefined],
  ])('is that of the service which its first process runs: %s', (command, service) => {
    expect(serviceOf(command)).toBe(service);
  });

  describe('of a gateway', () => {
    let server: Server;
    let status: number;
    let asked: string | undefined;
    let env: NodeJS.ProcessEnv;

    beforeEach(async () => {
      status = 200;
      server = createServer((request, response) => {
        asked = request.url;
        response.writeHead(status).end();
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      env = { PORT: String((server.address() as AddressInfo).port) };
    });

    afterEach(() => {
      server.closeAllConnections();
      server.close();
    });

    it.each(['127.0.0.1', '0.0.0.0'])('is what it answers over HTTP where it listens on %s', async (HOST) => {
      await checkHealth('gateway', { ...env, HOST });
      expect(asked).toBe('/healthz');
      status = 503;
      await expect(checkHealth('gateway', { ...env, HOST })).rejects.toThrow('/healthz answers 503');
    });

    it('is bad when nobody listens', async () => {
      const PORT = String(await freePort());
      await expect(checkHealth('gateway', { PORT })).rejects.toThrow('fetch failed');
    });
  });

  describe('of what speaks over NATS', () => {
    let server: TestNatsServer;
    let nats: NatsConnection;

    beforeAll(async () => {
      server = await TestNatsServer.start();
      nats = await connectNats([server.url], 'test');
    });

    afterAll(async () => {
      await nats.close();
      await server.stop();
    });

    it.each([
      ['shard-node', 'shardline.node.Server[4].ping'],
      ['balancer', 'shardline.cmd.status'],
    ] as const)('is good when a %s answers on its subject, and bad when nobody does', async (service, subject) => {
      const env = { NATS_URL: server.url, SERVER_NAME: 'Server[4]' };
      await expect(checkHealth(service, env)).rejects.toThrow('503');
      const subscription = nats.subscribe(subject, {
        callback: (_, message) => {
          message.respond('{"error":{}}');
        },
      });
      await nats.flush();
      await checkHealth(service, env);
      subscription.unsubscribe();
    });

    it.each(['shard-node', 'balancer'] as const)('is bad when the server cannot be reached: %s', async (service) => {
      const NATS_URL = `nats://127.0.0.1:${await freePort()}`;
      await expect(checkHealth(service, { NATS_URL, SERVER_NAME: 'a' })).rejects.toThrow('CONNECTION_REFUSED');
    });
  });
});
