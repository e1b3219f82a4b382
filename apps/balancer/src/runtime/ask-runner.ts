/** What the core asks for, done with NATS, JetStream and the launcher. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ShardlineError, type ErrorBody } from '#common/contracts/errors';
import type { Logger } from '#common/logging/logger';
import type { NatsCatalogStore } from '../adapters/nats/nats-catalog-store';
import type { NatsShardTransport } from '../adapters/nats/nats-shard-transport';
import type { Ask, Result } from '../core/kernel/effects';
import type { AskPort } from '../ports/ask-port';
import type { NodeLauncher } from '../ports/node-launcher';

export class AskRunner implements AskPort {
  constructor(
    private readonly catalog: NatsCatalogStore,
    private readonly transport: NatsShardTransport,
    private readonly launcher: NodeLauncher,
    private readonly logger: Logger,
  ) {}

  perform(ask: Ask, answer: (outcome: Result<unknown>) => void): void {
    this.begin(ask).then(
      (value) => {
        answer({ ok: true, value });
      },
      (thrown: unknown) => {
        answer({ ok: false, error: this.failureOf(thrown) });
      },
    );
  }

  private begin(ask: Ask): Promise<unknown> {
    const { transport, launcher, catalog } = this;
    switch (ask.do) {
      case 'apply':
        return transport.apply(ask.server, ask.epoch, ask.round, ask.rows);
      case 'readOne':
        return transport.readOne(ask.server, ask.epoch, ask.read);
      case 'ping':
        return transport.ping(ask.server, ask.request);
      case 'config':
        return transport.config(ask.server, ask.request);
      case 'probe':
        return transport.probe(ask.server, ask.request);
      case 'fence':
        return transport.fence(ask.server, ask.request);
      case 'catchup':
        return transport.catchup(ask.server, ask.request, ask.isHurried);
      case 'digest':
        return transport.digest(ask.server, ask.request);
      case 'operation':
        return transport.operation(ask.server, ask.request);
      case 'census':
        return transport.census();
      case 'readKey':
        return catalog.get(ask.key);
      case 'load':
        return catalog.load();
      case 'store':
        return this.store(ask.key, ask.value, ask.expected);
      case 'listNodes':
        return launcher.known();
      case 'startNode':
        return launcher.start(ask.server).then(() => null);
      case 'removeNode':
        return launcher.remove(ask.server).then(() => null);
      case 'nodeFailure':
        return Promise.resolve(launcher.failureOf(ask.server));
      case 'pause':
        return nextTurn(null);
    }
  }

  private async store(key: string, value: unknown, expected: number): Promise<number | null> {
    const { catalog } = this;
    const outcome = value === null ? await catalog.remove(key, expected) : await catalog.put(key, value, expected);
    return outcome.ok ? outcome.revision : null;
  }

  private failureOf(thrown: unknown): ErrorBody {
    const error = ShardlineError.from(thrown);
    if (error.code === 'INTERNAL') this.logger.error({ err: thrown }, 'an effect failed unexpectedly');
    return error.toBody();
  }
}
