/**
 * A folder lies among those of other people, who clean up, move and restore. The launcher looks after its own: what somebody removed
 * of the files that it is found by is there again a moment later, and when the folder itself is gone from its place the cluster ends.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { SupervisedCluster } from './supervised-cluster';
import type { ControlSocket } from './control';
import type { ClaimedDataDir } from './data-dir';
import { EXIT, Refusal } from '../refusal';

const INTERVAL_MS = 1_000;

/** Until the cluster ends. Never rejects. */
export async function keepUp(
  dataDir: ClaimedDataDir,
  control: ControlSocket,
  cluster: SupervisedCluster,
): Promise<void> {
  let warned = '';
  while (await nextTurn(cluster.ending)) {
    try {
      if (!dataDir.isInPlace()) {
        cluster.refuse(notInPlace(dataDir.shown));
        return;
      }
      dataDir.restore();
      await control.listenAt(dataDir.controlSocket);
      warned = '';
    } catch (error) {
      const what = `cannot look after ${dataDir.shown}: ${(error as Error).message}`;
      if (what !== warned) cluster.warn(what);
      warned = what;
    }
  }
}

/** False when the cluster ends. */
async function nextTurn(ending: AbortSignal): Promise<boolean> {
  try {
    await delay(INTERVAL_MS, undefined, { signal: ending });
    return true;
  } catch {
    return false;
  }
}

function notInPlace(shown: string): Refusal {
  const what = `${shown} was moved, removed or replaced while its cluster ran, so the cluster has ended`;
  return new Refusal(`${what}; start it again where the data are now`, EXIT.unavailable);
}
