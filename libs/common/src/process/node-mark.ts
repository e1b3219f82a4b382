/** How the process of a shard-node is known among all: by its last arguments. The node itself reads its environment, not these. */
import { join } from 'node:path';

/** The arguments that mark the node `server` which keeps its data in `dataDir`. */
export function nodeMark(server: string, dataDir: string): string[] {
  return ['--server', server, '--data-dir', dataDir];
}

/**
 * Which node a command line is marked as, of those that have their folders in `serversDir`; undefined: none of them. The shell that is
 * about to become the node counts as well.
 */
export function markedNode(command: string, serversDir: string): string | undefined {
  const server = / --server (\S+) --data-dir /.exec(command)?.[1];
  if (server === undefined) return undefined;
  return command.endsWith(` ${nodeMark(server, join(serversDir, server)).join(' ')}`) ? server : undefined;
}
