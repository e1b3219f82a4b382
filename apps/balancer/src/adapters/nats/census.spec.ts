import { connect, type NatsConnection } from 'nats';
import { CENSUS_SUBJECT } from '#common/contracts/subjects';
import { TestNatsServer } from '#common/testing/nats-server';
import { takeCensus } from './census';

jest.setTimeout(60_000);

describe('the census', () => {
  let server: TestNatsServer;
  let nats: NatsConnection;

  beforeEach(async () => {
    server = await TestNatsServer.start();
    nats = await connect({ servers: server.url });
  });

  afterEach(async () => {
    await nats.close();
    await server.stop();
  });

  function answerAs(name: string): void {
    nats.subscribe(CENSUS_SUBJECT, {
      callback: (_error, message) => {
        message.respond(JSON.stringify({ server: name, configId: 3 }));
      },
    });
  }

  it('finds nobody where nobody listens', async () => {
    expect(await takeCensus(nats)).toEqual([]);
  });

  it('finds everybody who answers, whatever their names, and does without those who do not', async () => {
    answerAs('one');
    answerAs('other');
    nats.subscribe(CENSUS_SUBJECT, { callback: () => undefined });
    const found = await takeCensus(nats);
    expect(found.map((reply) => reply.server).sort()).toEqual(['one', 'other']);
  });
});
