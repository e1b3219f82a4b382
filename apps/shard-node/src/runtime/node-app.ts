/** The Nest application of a shard-node: one controller behind NATS. */
import { Module, type INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { CustomStrategy } from '@nestjs/microservices';
import { NestLogger, type Logger } from '#common/logging/logger';
import { nestNatsOptions } from '#common/nats/nest-transport';
import type { ShardNodeConfig } from '#common/config/shard-node-config';
import { DrainingNatsServer } from '#common/nats/draining-nats-server';
import { createNodeController } from './node-controller';
import type { Replica } from './replica';
import type { WorkInFlight } from '#common/process/work-in-flight';

@Module({})
class ShardNodeModule {}

export function createTransport(config: ShardNodeConfig, work: WorkInFlight): DrainingNatsServer {
  const { options } = nestNatsOptions(config.NATS_URL, `shard-node ${config.SERVER_NAME}`);
  return new DrainingNatsServer(options ?? {}, work);
}

/** Resolves when the node's subjects are subscribed. */
export async function listen(
  config: ShardNodeConfig,
  transport: DrainingNatsServer,
  replica: Replica,
  work: WorkInFlight,
  logger: Logger,
): Promise<INestMicroservice> {
  const controller = createNodeController(config.SERVER_NAME, replica, work);
  const app = await NestFactory.createMicroservice<CustomStrategy>(
    { module: ShardNodeModule, controllers: [controller] },
    { strategy: transport, logger: new NestLogger(logger), abortOnError: false },
  );
  await app.listen();
  // The broker knows of the subscriptions when it has answered.
  await transport.connection.flush();
  return app;
}
