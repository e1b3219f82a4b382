/** One shard-node: `SERVER_NAME=Server0 NATS_URL=nats://127.0.0.1:4222 node dist/apps/shard-node/main.js`. */
import { createLogger, type Logger } from '#common/logging/logger';
import { runService, stopOnSignals } from '#common/process/service';
import { parseShardNodeConfig, type ShardNodeConfig } from './src/config/config';
import { EmbeddedPostgres } from './src/runtime/postgres/embedded-postgres';

runService(async () => {
  const config = parseShardNodeConfig(process.env);
  const logger = createLogger('shard-node', config.logLevel, { server: config.server });
  // The libraries load while Postgres starts.
  const [postgres, { ShardNode }] = await Promise.all([
    config.databaseUrl === null ? startPostgres(config, logger) : null,
    import('./src/runtime/shard-node.js'),
  ]);
  const address = postgres?.connection ?? { url: config.databaseUrl ?? '' };
  const node = await ShardNode.start(config, address, logger);
  stopOnSignals(logger, config.lifelineSocket, async () => {
    await node.stop();
    await postgres?.stop();
  });
  logger.info({ startedInMs: Math.round(performance.now()) }, 'ready');
});

/** A node without its Postgres can do nothing: it ends, and whoever watches over it starts another one. */
async function startPostgres(config: ShardNodeConfig, logger: Logger): Promise<EmbeddedPostgres> {
  const postgres = await EmbeddedPostgres.start({ dataDir: config.dataDir, logger });
  postgres.onExit(() => {
    logger.fatal('Postgres is gone');
    process.exit(1);
  });
  return postgres;
}
