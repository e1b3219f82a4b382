/** Rows of the demo's clients, as a test waits for them. */
import type { LocalCluster } from '#common/testing/local-cluster';
import { pollUntil } from '#common/waiting/retry';
import { Client } from '../src/demo/client';
import type { Student } from '../src/demo/students';

const READABLE_MS = 150_000;
const POLL_MS = 50;

/** Until so many rows can be read: the whole cluster is at work. Resolves to them. @throws with what the cluster said when they cannot */
export async function untilRead(cluster: LocalCluster, count: number): Promise<Student[]> {
  const look = async (): Promise<Student[] | undefined> => {
    const { rows } = await new Client(cluster.baseUrl).read(0, 20_000).catch(() => ({ rows: [] })); // not yet
    return rows.length === count ? rows : undefined;
  };
  const rows = await pollUntil(look, { deadlineMs: READABLE_MS, pauseMs: POLL_MS });
  if (rows === undefined) throw new Error(`cannot be read:\n${cluster.output.join('\n')}`);
  return rows;
}

/** Until it is so. @throws when that takes too long */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const look = (): Promise<true | undefined> => Promise.resolve(isSo() ? true : undefined);
  if ((await pollUntil(look, { deadlineMs: READABLE_MS, pauseMs: POLL_MS })) === undefined)
    throw new Error(`not within ${READABLE_MS} ms: ${what}`);
}
