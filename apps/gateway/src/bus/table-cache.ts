/** The configuration in force, as the gateway last heard it, with the validator that was compiled for it. */
import type { ClusterStatus } from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { retryTimes } from '#common/waiting/retry';
import { RowChecker } from '../rows/row-checker';

export interface Table {
  configId: number;
  rows: RowChecker;
}

/** Where the configuration comes from. */
export interface StatusSource {
  /** Waits for a leader. @throws ShardlineError */
  patiently(): Promise<ClusterStatus>;
  /** Asks once. @throws ShardlineError */
  once(): Promise<ClusterStatus>;
}

/** How often a request is checked again against a configuration that changed under it. */
const MAX_ATTEMPTS = 3;

export class TableCache {
  private table: Table | null = null;
  private fetching: Promise<Table> | null = null;
  private confirming: Promise<unknown> = Promise.resolve();
  private nextConfirmation: Promise<ClusterStatus> | null = null;

  constructor(private readonly source: StatusSource) {}

  /**
   * Runs `attempt` with the table; again with the newest one when the leader says that it has changed, or when the request does
   * not fit the table that we know and there is a newer one.
   *
   * @throws ShardlineError NOT_CONFIGURED before `/init`; SHARD_UNAVAILABLE when the configuration is lost for now; what `attempt` throws
   */
  async withTable<T>(attempt: (table: Table) => Promise<T>): Promise<T> {
    let table: Table | undefined;
    const checked = async (): Promise<T> => {
      table = undefined;
      table = this.table ?? (await this.fetch());
      return attempt(table);
    };
    return retryTimes(checked, MAX_ATTEMPTS, async (thrown) =>
      table !== undefined && (await this.mayBeOutdated(table, ShardlineError.from(thrown))) ? 0 : null,
    );
  }

  /** The next request asks the leader again. */
  forget(): void {
    this.table = null;
  }

  private async mayBeOutdated(table: Table, error: ShardlineError): Promise<boolean> {
    const saysSo = error.code === 'CONFIG_CHANGED' || error.code === 'NOT_CONFIGURED';
    if (!saysSo && !(error.code === 'BAD_REQUEST' && (await this.isReplaced(table)))) return false;
    if (this.table === table) this.table = null;
    return true;
  }

  /** Where nobody can know, the table that we know counts. */
  private async isReplaced(table: Table): Promise<boolean> {
    try {
      return (await this.confirm()).configId !== table.configId;
    } catch {
      return false;
    }
  }

  /**
   * What the leader says from now on; an answer to an earlier question would not do. One question is out at a time, and all who
   * come meanwhile share the next, so that a flood of bad requests does not become a flood of questions.
   */
  private confirm(): Promise<ClusterStatus> {
    this.nextConfirmation ??= this.confirming.then(() => {
      this.nextConfirmation = null;
      const status = this.source.once();
      this.confirming = status.catch(() => undefined);
      return status;
    });
    return this.nextConfirmation;
  }

  /** Many requests that find no table share one question. */
  private fetch(): Promise<Table> {
    this.fetching ??= this.source
      .patiently()
      .then((status) => this.adopt(status))
      .finally(() => {
        this.fetching = null;
      });
    return this.fetching;
  }

  private adopt({ configId, schema, unconfigured }: ClusterStatus): Table {
    if (unconfigured !== undefined) throw ShardlineError.fromBody(unconfigured);
    if (configId === 0 || schema === null) {
      throw new ShardlineError('NOT_CONFIGURED', 'the cluster has no configuration yet: POST /init first');
    }
    this.table = { configId, rows: new RowChecker(schema) };
    return this.table;
  }
}
