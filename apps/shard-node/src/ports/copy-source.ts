/** The replica that another one copies from. */
import type { CopyRequest } from '#common/contracts/node';
import type { VersionPage } from './version-store';

export interface CopySource {
  /**
   * One page of versions of the shard as `server` holds it.
   *
   * @throws ShardlineError SHARD_UNAVAILABLE when it does not answer in time, or what it answered
   */
  fetch(server: string, request: CopyRequest): Promise<VersionPage>;
}
