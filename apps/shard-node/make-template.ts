/**
 * Makes the template from which shard-nodes copy their Postgres cluster, for the user who runs this: `node
 * dist/apps/shard-node/make-template.js`. An image has it made beforehand, so that no server that starts there has to run initdb.
 */
import { findBinaries } from './src/adapters/embedded-postgres/binaries';
import { clusterTemplate } from './src/adapters/embedded-postgres/cluster-template';
import { chooseUser } from './src/adapters/embedded-postgres/run-as';

async function main(): Promise<void> {
  const binaries = await findBinaries();
  const template = await clusterTemplate(binaries, await chooseUser(binaries.postgres, process.cwd()));
  process.stdout.write(`${template}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`no template: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
