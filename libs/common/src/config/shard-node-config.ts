/** The settings of a shard-node. */
import { join } from 'node:path';
import { z } from 'zod';
import { COMMON_SETTINGS, parseEnv, setting } from './env';
import { IDENTIFIER } from '../contracts/schema';

const NAME_RULE = 'a server name is a letter or _, then up to 62 letters, digits, _, -, [ or ]';

export const SHARD_NODE_SETTINGS = z.object({
  ...COMMON_SETTINGS,
  SERVER_NAME: z.string({ error: NAME_RULE }).regex(IDENTIFIER, NAME_RULE),
  /** Holds the embedded Postgres; unused with `DATABASE_URL`. */
  DATA_DIR: z.string().min(1).optional(),
  /** Holds our process id, written by whoever started us; removed at an orderly stop. */
  PID_FILE: z.string().min(1).optional(),
  /** A Postgres that somebody else runs, instead of the embedded one. */
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: 'it must look like postgres://user@host/database' })
    .optional(),
  /** Connections that read; one more writes, and one is kept free so that a heartbeat can see whether Postgres is there. */
  POOL_SIZE: setting.int(4, 1, 100),
  /** Bytes of a page fetched from another replica. */
  PAGE_BYTES: setting.int(524_288, 1024, 4_194_304),
  APPLY_QUEUE_LIMIT: setting.int(256, 1, 100_000),
  READ_QUEUE_LIMIT: setting.int(4096, 1, 1_000_000),
  COPY_TIMEOUT_MS: setting.int(5_000, 100, 600_000),
  STATEMENT_TIMEOUT_MS: setting.int(30_000, 100, 3_600_000),
  PROBE_TIMEOUT_MS: setting.int(500, 10, 60_000),
  /** How often in a row the embedded Postgres is started again, and the pause before the first time. */
  POSTGRES_RESTART_TRIES: setting.int(5, 0, 1000),
  POSTGRES_RESTART_PAUSE_MS: setting.int(100, 1, 60_000),
});

/** Settings by the names of their variables. */
export type ShardNodeConfig = z.infer<typeof SHARD_NODE_SETTINGS> & { DATA_DIR: string };

/** @throws ConfigError with one line that names every wrong variable */
export function parseShardNodeConfig(env: NodeJS.ProcessEnv): ShardNodeConfig {
  const given = parseEnv(SHARD_NODE_SETTINGS, env);
  return { ...given, DATA_DIR: given.DATA_DIR ?? join('.shardline', 'servers', given.SERVER_NAME) };
}
