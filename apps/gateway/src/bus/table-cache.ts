/** The configuration in force, as the gateway last heard it, with the validator that was compiled for it. */
import type { ClusterStatus } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { RowChecker } from '../rows/row-checker';

export interface Table {
  configId: number;
  rows: RowChecker;
}

/** How often a request is checked anew against a configuration that changed under it. */
const MAX_ATTEMPTS = 3;

export class TableCache {
  private table: Table | null = null;
  private fetching: Promise<Table> | null = null;

  constructor(private readonly fetchStatus: () => Promise<ClusterStatus>) {}

  /**
   * Runs `attempt` with the table; once more with the newest one when the leader says that it has changed.
   *
   * @throws ShardlineError NOT_CONFIGURED before `/init`; what `attempt` throws
   */
  async withTable<T>(attempt: (table: Table) => Promise<T>): Promise<T> {
    for (let attempts = 1; ; attempts += 1) {
      const table = this.table ?? (await this.fetch());
      try {
        return await attempt(table);
      } catch (thrown) {
        const error = ShardlineError.from(thrown);
        if (error.code !== 'CONFIG_CHANGED' && error.code !== 'NOT_CONFIGURED') throw error;
        this.drop(table);
        if (attempts >= MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** The next request asks the leader again. */
  forget(): void {
    this.table = null;
  }

  private drop(table: Table): void {
    if (this.table === table) this.table = null;
  }

  /** Many requests that find no table share one question. */
  private fetch(): Promise<Table> {
    this.fetching ??= this.fetchStatus()
      .then((status) => this.adopt(status))
      .finally(() => {
        this.fetching = null;
      });
    return this.fetching;
  }

  private adopt({ configId, schema }: ClusterStatus): Table {
    if (configId === 0 || schema === null) {
      throw new ShardlineError('NOT_CONFIGURED', 'the cluster has no configuration yet: POST /init first');
    }
    this.table = { configId, rows: new RowChecker(schema) };
    return this.table;
  }
}
