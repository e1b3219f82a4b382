/** A page of a copy: versions first, and behind the last of them the outcomes of ops. */
import type { CopyRequest } from '#common/contracts/node';
import type { VersionPage, VersionStore } from '../ports/version-store';

/** Outcomes wait for the next page when so little of this one is left. */
const LEAST_ROOM_BYTES = 512;

/** @param forgottenUpTo outcomes up to this term are forgotten and not copied */
export async function readCopyPage(
  store: VersionStore,
  { shard, from, to, after, maxBytes }: CopyRequest,
  forgottenUpTo: number,
): Promise<VersionPage> {
  let versions: VersionPage = { count: 0, text: '', largestRowBytes: 0, next: null };
  if (after?.op === undefined) versions = await store.copyPage({ shard, from, to }, after, maxBytes);
  if (versions.next !== null) return versions;
  const behind = Math.max(from, forgottenUpTo, after?.op ?? 0);
  const room = maxBytes - Buffer.byteLength(versions.text);
  const range = { shard, after: behind, upTo: to };
  const { records, next } = await store.recordPage(range, Math.max(room, LEAST_ROOM_BYTES));
  if (records.length === 0) return versions;
  return { ...versions, records, next: next === null ? null : { key: 0, cat: 0, op: next } };
}
