/**
 * Where shard-nodes come from: processes on this machine, or containers of a Docker engine. They outlive the balancer that started them, and
 * the next one finds them.
 *
 * Every call ends by itself, however the machine or the engine behaves. A name that no server can have is refused with BAD_REQUEST.
 */

export interface NodeLauncher {
  /**
   * Starts the shard-node of this name, with the data it had before if that is still there. One that runs already under
   * the name, even if it does not answer, is ended first. Resolves when it is started, not when it answers.
   *
   * @throws ShardlineError STORE_FAILED with the cause; nothing half-made is left then
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
  /** Breaks off what is under way, since the balancer ends. Nodes go on. */
  close(): void;
}
