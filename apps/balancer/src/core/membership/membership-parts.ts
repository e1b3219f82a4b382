/** What the changes of the cluster's shape share. */
import type { ErrorBody } from '#common/contracts/errors';
import type { FenceReply } from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';
import type { ShardRange } from '#common/contracts/schema';
import type { Catalog } from '../cluster/catalog';
import type { Cluster } from '../cluster/cluster';
import type { ClusterNews } from '../cluster/cluster-news';
import type { StepContext } from '../kernel/step-context';
import type { AdminResult, Result } from '../kernel/effects';
import type { Health } from '../healing/health';
import type { InSyncSets } from '../replicas/in-sync-sets';
import type { Standing } from './membership-rules';
import type { Random } from '../kernel/random';
import type { Reader } from '../requests/reader';
import type { Recovery } from '../healing/recovery';
import type { CoreSettings } from '../detection/core-settings';
import { Shard, type ShardRecord } from '../cluster/shard';
import { all, running, wait, type Workflow } from '../kernel/workflow';
import type { Writer } from '../requests/writer';

/** How often it is asked whether a server that does not answer has ended. */
const START_LOOK_MS = 500;
const POLL_MS = 50;

/** Everything a change works with. */
export interface MembershipParts {
  context: StepContext;
  cluster: Cluster;
  catalog: Catalog;
  news: ClusterNews;
  inSyncSets: InSyncSets;
  health: Health;
  recovery: Recovery;
  writer: Writer;
  reader: Reader;
  settings: CoreSettings;
  random: Random;
}

export type AdminOutcome = Result<AdminResult>;

/** The cluster as the rules look at it. */
export function standing({ cluster }: MembershipParts): Standing {
  return { servers: new Set(cluster.servers.keys()), shards: cluster.ranges() };
}

/** A shard that comes into being with all of its replicas in sync, since there is nothing in it. */
export function newRecord(
  range: ShardRange,
  placed: ReadonlyMap<string, readonly string[]>,
  configId: number,
  configEpoch: number,
): ShardRecord {
  const replicas = [...placed].filter(([, held]) => held.includes(range.shard)).map(([server]) => server);
  return { ...range, configEpoch, configVersion: 1, configId, replicas, joining: [], inSync: replicas };
}

/** Servers that were started, and those of them of which there was nothing before: only they may be removed again. */
export interface Started {
  error: ErrorBody | null;
  fresh: string[];
}

/** Starts servers side by side; when one does not come, those that are new are removed again. */
export function* startServers(
  parts: MembershipParts,
  names: readonly string[],
  mayReplace: boolean,
): Workflow<Started> {
  const listed = yield* wait(parts.context.ask('listNodes', {}));
  if (!listed.ok) return { error: listed.error, fresh: [] };
  const fresh = names.filter((name) => !listed.value.includes(name));
  const outcomes = yield* wait(all(names.map((name) => running(startServer(parts, name, mayReplace)))));
  const error = outcomes.find((outcome) => outcome !== null) ?? null;
  if (error !== null) yield* removeServers(parts, fresh);
  return { error, fresh };
}

/** Ends servers that hold nothing that anybody needs, with their data. */
export function* removeServers({ context }: MembershipParts, names: readonly string[]): Workflow {
  yield* wait(all(names.map((server) => context.ask('removeNode', { server }))));
}

function* startServer(
  { context, cluster, health, settings }: MembershipParts,
  server: string,
  mayReplace: boolean,
): Workflow<ErrorBody | null> {
  const started = yield* wait(context.ask('startNode', { server }));
  if (!started.ok) return started.error;
  const deadlineMs = context.nowMs + settings.nodeStartMs;
  const failed = (why: string): ErrorBody => ({ code: 'STORE_FAILED', message: `${server} ${why}`, retryable: false });
  for (;;) {
    const reply = yield* health.awaitNode(server, Math.min(START_LOOK_MS, deadlineMs - context.nowMs));
    if (reply !== null) return mayReplace ? null : otherData(server, reply, cluster);
    const failure = yield* wait(context.ask('nodeFailure', { server }));
    if (failure.ok && failure.value !== null) return failed(`cannot start: ${failure.value}`);
    if (context.nowMs >= deadlineMs) return failed('was started and did not answer in time');
  }
}

/** The server holds data that are not of the configuration in force: they are not given up unless somebody says so. */
function otherData(server: string, { configId }: FenceReply, cluster: Cluster): ErrorBody | null {
  if (configId === 0 || configId === cluster.configId) return null;
  const message = `${server} holds data of another configuration (${configId}): ${WHAT_TO_DO}`;
  return { code: 'ALREADY_CONFIGURED', message, retryable: false };
}

/** Has servers create the tables of their shards. */
export function* createTables(
  { context, cluster }: MembershipParts,
  names: readonly string[],
  records: readonly ShardRecord[],
  schema: TableSchema,
  configId: number,
): Workflow<ErrorBody | null> {
  const { epoch } = cluster;
  const asks = names.map((server) => {
    const shards = records
      .filter((record) => record.replicas.includes(server))
      .map((record) => new Shard(record).config());
    const request = { epoch, configId, schema, shards, drop: [], areNew: true as const, ...cluster.meantFor(server) };
    return context.ask('config', { server, request });
  });
  const outcomes = yield* wait(all(asks));
  const failed = outcomes.find((outcome) => !outcome.ok);
  return failed?.ok === false ? failed.error : null;
}

/** What an administrator can do about data of a configuration that is not the one in force. */
export const WHAT_TO_DO =
  'start the servers that are missing and it is served again, or give these data up with ALLOW_REINIT=true';

/** Waits, within a bound, until all replicas of the servers are in sync. */
export function* untilInSync(parts: MembershipParts, names: readonly string[]): Workflow<boolean> {
  const { cluster, context, settings, recovery } = parts;
  const deadlineMs = context.nowMs + settings.adminWaitMs;
  const isWhole = (name: string): boolean => cluster.shardsOn(name).every((shard) => shard.stateOf(name) === 'in-sync');
  while (!names.every(isWhole)) {
    if (context.nowMs >= deadlineMs) return false;
    recovery.startAll();
    yield* wait(context.sleep(POLL_MS));
  }
  return true;
}

/** Forgets a server that holds nothing any more, and ends it with its data. */
export function* dropServer({ context }: MembershipParts, server: string): Workflow {
  yield* wait(context.ask('removeNode', { server }));
}

export function refused(code: ErrorBody['code'], message: string, retryable = false): { ok: false; error: ErrorBody } {
  return { ok: false, error: { code, message, retryable } };
}

export function noLongerLeading(): ErrorBody {
  const message = 'this balancer no longer leads; look at /status for what became of it';
  return { code: 'OUTCOME_UNKNOWN', message, retryable: false };
}
