/** Connections to Postgres that a node with so many readers opens at the most: one more writes, one is kept free for heartbeats. */
export function connectionsOf(poolSize: number): number {
  return poolSize + 2;
}
