/** One shard-node: `SERVER_NAME=Server0 NATS_URL=nats://127.0.0.1:4222 node dist/apps/shard-node/main.js`. */
import { createLogger, type Logger } from '#common/logging/logger';
import { runService, stopOnSignals } from '#common/process/service';
import { forgetPostgresVariables } from './src/config/postgres-variables';
import { connectionsOf } from './src/config/connections';
import { parseShardNodeConfig, type ShardNodeConfig } from '#common/config/shard-node-config';
import { removeOwnPidFile } from './src/runtime/pid-file';
import { PostgresSupervisor } from './src/adapters/embedded-postgres/postgres-supervisor';

runService(async (lifeline) => {
  const config = parseShardNodeConfig(process.env);
  // Before what reads them is loaded.
  forgetPostgresVariables(process.env);
  const logger = createLogger('shard-node', config.logLevel, { server: config.server });
  // The libraries load while Postgres starts.
  const [postgres, { ShardNode }] = await Promise.all([
    config.databaseUrl === null ? startPostgres(config, logger) : null,
    import('./src/runtime/shard-node.js'),
  ]);
  const address = postgres?.connection ?? { url: config.databaseUrl ?? '' };
  const node = await ShardNode.start(config, address, logger);
  stopOnSignals(logger, lifeline, async () => {
    await node.stop();
    await postgres?.stop();
    await removeOwnPidFile(config.pidFile, logger);
  });
  logger.info({ startedInMs: Math.round(performance.now()) }, 'ready');
});

/** A node that cannot bring its Postgres back can do nothing: it ends, and whoever watches over it starts another one. */
async function startPostgres(config: ShardNodeConfig, logger: Logger): Promise<PostgresSupervisor> {
  const { dataDir, poolSize, postgresRestartTries: tries, postgresRestartPauseMs: pauseMs } = config;
  const postgres = await PostgresSupervisor.start(
    { dataDir, logger, clients: connectionsOf(poolSize) },
    { tries, pauseMs },
  );
  postgres.onGivenUp((why) => {
    logger.fatal({ why }, 'Postgres is gone for good');
    process.exit(1);
  });
  return postgres;
}
