/** One gateway from its start to its end. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { NatsConnection } from 'nats';
import { NestLogger, type Logger } from '#common/logging/logger';
import { connectNats } from '#common/nats/connection';
import { RecordBus } from '../bus/batching/record-bus';
import { checkBodyLimit, type GatewayConfig } from '#common/config/gateway-config';
import { openApiDocument, serveDocs } from '../http/openapi/docs';
import { GatewayMetrics } from '../http/system/gateway-metrics';
import { RouteTable } from '../http/routes';
import { GatewayModule } from './gateway.module';
import { createHttpAdapter } from './http-server';
import { InFlight } from './in-flight';

export class Gateway {
  private constructor(
    private readonly app: NestFastifyApplication,
    private readonly nats: NatsConnection,
    private readonly inFlight: InFlight,
    /** `http://host:port`, with the port that was really taken. */
    readonly url: string,
  ) {}

  /**
   * Connects to NATS, for as long as that takes, then serves HTTP.
   *
   * @throws ConfigError when BODY_LIMIT does not fit the broker
   */
  static async start(config: GatewayConfig, logger: Logger): Promise<Gateway> {
    logger.info({ nats: config.NATS_URL }, 'connecting to NATS');
    const nats = await connectNats(config.NATS_URL, 'gateway');
    try {
      checkBodyLimit(config.BODY_LIMIT, nats.info?.max_payload ?? 0);
      return await Gateway.serve(config, logger, nats);
    } catch (error) {
      await nats.close();
      throw error;
    }
  }

  private static async serve(config: GatewayConfig, logger: Logger, nats: NatsConnection): Promise<Gateway> {
    const metrics = new GatewayMetrics();
    const routes = new RouteTable();
    const bus = new RecordBus(nats, batcherLimits(config), (kind, ops) => {
      metrics.observeBatch(kind, ops);
    });
    bus.watchConnection().catch((error: unknown) => {
      logger.error({ err: error }, 'no longer watching the connection');
    });
    const app = await NestFactory.create<NestFastifyApplication>(
      GatewayModule.of({ config, nats, logger, metrics, routes, bus }),
      createHttpAdapter(routes, metrics),
      { logger: new NestLogger(logger), bodyParser: false, abortOnError: false },
    );
    const inFlight = new InFlight(app.getHttpServer());
    metrics.watch(
      () => inFlight.count,
      () => bus.underWay(),
    );
    serveDocs(app.getHttpAdapter().getInstance(), openApiDocument(app));
    await app.listen(config.PORT, config.HOST);
    return new Gateway(app, nats, inFlight, await app.getUrl());
  }

  /** Takes no new connections, answers what has been asked, then leaves NATS. */
  async stop(): Promise<void> {
    await this.inFlight.drain();
    await this.app.close();
    await this.nats.drain();
  }
}

function batcherLimits(config: GatewayConfig): ConstructorParameters<typeof RecordBus>[1] {
  return {
    maxOps: config.MAX_OPS_UNDER_WAY,
    maxBytes: config.MAX_BYTES_UNDER_WAY,
    batchOps: config.MAX_OPS_PER_BATCH,
    batchesInFlight: config.MAX_BATCHES_IN_FLIGHT,
    holdMs: config.HOLD_MS,
    requestTimeoutMs: config.REQUEST_TIMEOUT_MS,
  };
}
