/**
 * Which connections have prepared how much.
 *
 * Postgres keeps what a connection has prepared until that ends, and for each table that is made or dropped it looks at all of it:
 * with a few thousand statements, making a thousand tables takes half a minute. Statements are per shard, and shards come and go. So a
 * connection is replaced when it has prepared very many of them, and when most of what it has prepared is of no use any more.
 */

/** Plans of 1,024 shards, of the four or five kinds that a replica uses all the time; each takes some 10 KB. */
const MOST_STATEMENTS = 4_096;

export class PreparedStatements {
  private readonly connections = new WeakMap<object, { era: number; names: Set<string> }>();
  private era = 0;

  constructor(private readonly most = MOST_STATEMENTS) {}

  /** The connection prepares the statement, if it has not done so yet. */
  remember(connection: object, name: string): void {
    let held = this.connections.get(connection);
    if (held === undefined) this.connections.set(connection, (held = { era: this.era, names: new Set() }));
    held.names.add(name);
  }

  /** Whatever was prepared so far belongs to shards that are no more, or stands in the way of many new tables. */
  outdate(): void {
    this.era += 1;
  }

  /** The connection should be replaced when nothing is under way on it. */
  isWornOut(connection: object): boolean {
    const held = this.connections.get(connection);
    return held !== undefined && (held.era !== this.era || held.names.size >= this.most);
  }
}
