/** The SQL of the fixed tables, for the transactions that write them together with versions. */
import type { NewestRound } from '#common/contracts/node';
import type { NodeIdentity, ShardState } from '../../../core/replica-state';
import type { NodeRow, TermRow } from '../entities/node-entities';
import { prepared } from './shard-statements';

/** Stores the one row of `node_t`. */
export const SAVE_NODE = prepared(`
  INSERT INTO node_t (id, server, epoch, config_id, schema, cluster, mark, prepared, epoch_by)
  VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8)
  ON CONFLICT (id) DO UPDATE SET server = $1, epoch = $2, config_id = $3, schema = $4, cluster = $5, mark = $6, prepared = $7,
    epoch_by = $8`);

/** The rest of the row may be large, and is not written again. */
export const SAVE_MARK = prepared('UPDATE node_t SET mark = $1 WHERE id = 1');

export const INSERT_TERM = prepared(`
  INSERT INTO term_t (shard, version, low, size, current_term, committed_vat, purged_to, newest_epoch, newest_round,
    newest_last_terms, newest_refused, config_epoch, config_version, in_sync, live_rows, max_row_bytes, catch_up_from, catch_up_to,
    forgotten_up_to, catch_up_source, catch_up_after, copy_epoch, copy_turn, epoch_starts, replicas, joining,
    diverged, disputed)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)`);

/** Fails when the row has another version than `$2`. */
export const UPDATE_TERM = prepared(`
  WITH term AS (UPDATE term_t SET version = version + 1, low = $3, size = $4, current_term = $5, committed_vat = $6,
    purged_to = $7, newest_epoch = $8, newest_round = $9, newest_last_terms = $10, newest_refused = $11, config_epoch = $12,
    config_version = $13, in_sync = $14, live_rows = $15, max_row_bytes = $16, catch_up_from = $17, catch_up_to = $18,
    forgotten_up_to = $19, catch_up_source = $20, catch_up_after = $21, copy_epoch = $22, copy_turn = $23, epoch_starts = $24, replicas = $25,
    joining = $26, diverged = $27, disputed = $28
    WHERE shard = $1 AND version = $2 RETURNING 1)
  SELECT 1 / count(*) FROM term`);

export const DELETE_TERM = prepared('DELETE FROM term_t WHERE shard = $1');
export const DELETE_TERMS = 'DELETE FROM term_t';

export function nodeValues(identity: NodeIdentity): unknown[] {
  const { server, epoch, epochBy, configId, schema, cluster, mark, prepared: next } = identity;
  return [server, epoch, configId, ...[schema, cluster, mark, next].map(asJson), epochBy];
}

/** Parameters of `INSERT_TERM` and `UPDATE_TERM`. */
export function termValues(state: ShardState, version: number): unknown[] {
  const newest = state.newestRound;
  return [
    state.shard,
    version,
    state.low,
    state.size,
    state.currentTerm,
    state.committedVat,
    state.purgedTo,
    newest?.epoch ?? null,
    newest?.round ?? null,
    newest === null ? null : lastTermsAsJson(newest.lastTerms),
    newest?.refused ?? false,
    state.configEpoch,
    state.configVersion,
    JSON.stringify(state.inSync),
    state.rows,
    state.maxRowBytes,
    state.catchUp?.from ?? null,
    state.catchUp?.to ?? null,
    state.forgottenUpTo,
    state.catchUp?.source ?? null,
    afterAsJson(state),
    state.copyTurn.epoch,
    state.copyTurn.turn,
    JSON.stringify(state.epochStarts),
    JSON.stringify(state.replicas),
    JSON.stringify(state.joining),
    JSON.stringify(state.diverged),
    state.disputed,
  ];
}

const lastTermsTexts = new WeakMap<object, string>();

/** Every shard of a round stores the terms of all of them: they are made a text once, or it would be quadratic work. */
function lastTermsAsJson(lastTerms: NewestRound['lastTerms']): string {
  let text = lastTermsTexts.get(lastTerms);
  if (text === undefined) lastTermsTexts.set(lastTerms, (text = JSON.stringify(lastTerms)));
  return text;
}

function asJson(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

function afterAsJson({ catchUp }: ShardState): string | null {
  const after = catchUp?.after ?? null;
  return after === null ? null : JSON.stringify(after);
}

/** What a round changes in `term_t`: the first parameters of `ShardStatements.round`. */
export function roundValues(state: ShardState, version: number): unknown[] {
  const newest = state.newestRound;
  return [
    state.shard,
    version,
    state.currentTerm,
    state.committedVat,
    newest?.epoch ?? null,
    newest?.round ?? null,
    newest === null ? null : lastTermsAsJson(newest.lastTerms),
    newest?.refused ?? false,
    state.rows,
    state.maxRowBytes,
    state.forgottenUpTo,
  ];
}

export function identityOf(row: NodeRow): NodeIdentity {
  const { server, epoch, epochBy, configId, schema, cluster, mark, prepared: next } = row;
  return { server, epoch, epochBy, configId, schema, cluster, mark, prepared: next };
}

export function shardStateOf(row: TermRow): ShardState {
  const { newestEpoch: epoch, newestRound: round, newestLastTerms: lastTerms, newestRefused: refused } = row;
  const { catchUpFrom: from, catchUpTo: to, catchUpSource: source, catchUpAfter: after } = row;
  return {
    shard: row.shard,
    low: row.low,
    size: row.size,
    currentTerm: row.currentTerm,
    committedVat: row.committedVat,
    purgedTo: row.purgedTo,
    forgottenUpTo: row.forgottenUpTo,
    newestRound: epoch === null || round === null ? null : { epoch, round, lastTerms: lastTerms ?? {}, refused },
    epochStarts: row.epochStarts,
    configEpoch: row.configEpoch,
    configVersion: row.configVersion,
    inSync: row.inSync,
    replicas: row.replicas ?? row.inSync,
    joining: row.joining,
    diverged: row.diverged,
    disputed: row.disputed,
    rows: row.liveRows,
    maxRowBytes: row.maxRowBytes,
    catchUp: from === null || to === null ? null : { from, to, source: source ?? '', after },
    copyTurn: { epoch: row.copyEpoch, turn: row.copyTurn },
  };
}

/** Shards of which one round is the newest hold one object of its terms, as they did when it was applied: they are reported together. */
export function withSharedTerms(states: readonly ShardState[]): ShardState[] {
  const known = new Map<string, Record<string, number>>();
  return states.map((state) => {
    if (state.newestRound === null) return state;
    const text = JSON.stringify(state.newestRound.lastTerms);
    const lastTerms = known.get(text) ?? state.newestRound.lastTerms;
    known.set(text, lastTerms);
    return { ...state, newestRound: { ...state.newestRound, lastTerms } };
  });
}
