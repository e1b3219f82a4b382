/** Where shard-nodes come from: processes on this machine, later containers on any. */

export interface NodeLauncher {
  /**
   * Starts the shard-node of this name, with the data it had before if that is still there. One that runs already under
   * the name, even if it does not answer, is ended first. Resolves when the process is started, not when it answers.
   */
  start(server: string): Promise<void>;
  /** Ends the shard-node, gracefully if it can, and resolves when it is gone. Its data stays. Not running: nothing to do. */
  stop(server: string): Promise<void>;
  /** Ends the shard-node and removes its data. */
  remove(server: string): Promise<void>;
  /** Why the shard-node that was started last under this name cannot run: what it said before it ended. Null: it may come yet. */
  failureOf(server: string): string | null;
  /** Names of those that run. */
  list(): Promise<string[]>;
  /** Names of those that have data here, whether they run or not. */
  known(): Promise<string[]>;
}
