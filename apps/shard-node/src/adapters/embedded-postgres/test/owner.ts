/** A process that owns a Postgres until it is killed; for the specs. Takes the data directory. */
import { createLogger } from '#common/logging/logger';
import { EmbeddedPostgres } from '../embedded-postgres';

async function own(dataDir: string): Promise<void> {
  const { connection } = await EmbeddedPostgres.start({ dataDir, logger: createLogger('owner', 'silent') });
  process.stdout.write(`${JSON.stringify(connection)}\n`);
}

own(process.argv[2] ?? '').catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
