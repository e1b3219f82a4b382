/** One shard-node: `SERVER_NAME=Server0 NATS_URL=nats://127.0.0.1:4222 node dist/apps/shard-node/main.js`. */
import { parseShardNodeConfig, type ShardNodeConfig } from '#common/config/shard-node-config';
import type { Logger } from '#common/logging/logger';
import { runService } from '#common/process/service';
import { PostgresSupervisor } from './src/adapters/embedded-postgres/postgres-supervisor';
import { connectionsOf } from './src/config/connections';
import { forgetPostgresVariables } from './src/config/postgres-variables';
import { removeOwnPidFile } from './src/runtime/pid-file';

runService({
  name: 'shard-node',
  parse: parseShardNodeConfig,
  bindings: ({ SERVER_NAME }) => ({ server: SERVER_NAME }),
  start: async (config, logger) => {
    // Before what reads them is loaded.
    forgetPostgresVariables(process.env);
    // The libraries load while Postgres starts.
    const [postgres, { ShardNode }] = await Promise.all([
      config.DATABASE_URL === undefined ? startPostgres(config, logger) : null,
      import('./src/runtime/shard-node.js'),
    ]);
    const address = postgres?.connection ?? { url: config.DATABASE_URL ?? '' };
    const node = await ShardNode.start(config, address, logger);
    return {
      started: { message: 'ready', data: { startedInMs: Math.round(performance.now()) } },
      stop: async () => {
        await node.stop();
        await postgres?.stop();
        await removeOwnPidFile(config.PID_FILE, logger);
      },
    };
  },
});

/** A node that cannot bring its Postgres back can do nothing: it ends, and whoever watches over it starts another one. */
async function startPostgres(config: ShardNodeConfig, logger: Logger): Promise<PostgresSupervisor> {
  const options = { dataDir: config.DATA_DIR, logger, clients: connectionsOf(config.POOL_SIZE) };
  const restarts = { tries: config.POSTGRES_RESTART_TRIES, pauseMs: config.POSTGRES_RESTART_PAUSE_MS };
  const postgres = await PostgresSupervisor.start(options, restarts);
  postgres.onGivenUp((why) => {
    logger.fatal({ why }, 'Postgres is gone for good');
    process.exit(1);
  });
  return postgres;
}
