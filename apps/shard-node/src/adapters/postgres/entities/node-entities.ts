/** The fixed tables: what a node knows of itself, one row for each of its shards, and the outcomes of ops. */
import { EntitySchema, EntitySchemaOptions, type ValueTransformer } from 'typeorm';
import type { BucketMark, ClusterRecord, CopyCursor, EpochStart, NewestRound } from '#common/contracts/node';
import type { TableSchema } from '#common/contracts/schema';
import type { Prepared } from '../../../core/replica-state';

/** The one row of `node_t`. */
export interface NodeRow {
  /** Always 1: the table holds one row. */
  id: number;
  server: string;
  epoch: number;
  epochBy: string | null;
  configId: number;
  schema: TableSchema | null;
  cluster: ClusterRecord | null;
  mark: BucketMark | null;
  prepared: Prepared | null;
}

/** A row of `term_t`. */
export interface TermRow {
  shard: string;
  low: number;
  size: number;
  currentTerm: number;
  committedVat: number;
  purgedTo: number;
  newestEpoch: number | null;
  newestRound: number | null;
  newestLastTerms: NewestRound['lastTerms'] | null;
  newestRefused: boolean;
  configEpoch: number;
  configVersion: number;
  inSync: string[];
  /** Null: stored by a release that sent the in-sync set alone. */
  replicas: string[] | null;
  joining: string[];
  diverged: string[];
  disputed: boolean;
  liveRows: number;
  maxRowBytes: number;
  catchUpFrom: number | null;
  catchUpTo: number | null;
  forgottenUpTo: number;
  catchUpSource: string | null;
  catchUpAfter: CopyCursor | null;
  copyEpoch: number;
  copyTurn: number;
  epochStarts: EpochStart[];
  /** Grows with every write of the row: a writer whose idea of the row is out of date changes nothing. */
  version: number;
}

/** A row of `op_t`: what became of an op, under the first of the op's terms. */
export interface OpRow {
  shard: string;
  term: number;
  id: string;
  fingerprint: string | null;
  /** As `outcomeText` spells it. */
  outcome: string;
}

/** Every bigint of these tables lies within the whole numbers that a double holds. */
const wholeNumber: ValueTransformer = {
  to: (value: unknown) => value,
  from: (value: unknown) => (value === null || value === undefined ? value : Number(value)),
};
const bigint = { type: 'bigint', transformer: wholeNumber } as const;
const optionalBigint = { ...bigint, nullable: true } as const;

export const NodeT = new EntitySchema<NodeRow>(
  Object.assign(new EntitySchemaOptions<NodeRow>(), {
    name: 'NodeT',
    tableName: 'node_t',
    columns: {
      id: { type: 'int', primary: true },
      server: { type: 'text' },
      epoch: { ...bigint },
      epochBy: { type: 'text', nullable: true, name: 'epoch_by' },
      configId: { ...bigint, name: 'config_id' },
      schema: { type: 'json', nullable: true },
      cluster: { type: 'json', nullable: true },
      mark: { type: 'json', nullable: true },
      prepared: { type: 'json', nullable: true },
    },
  } as const),
);

export const TermT = new EntitySchema<TermRow>(
  Object.assign(new EntitySchemaOptions<TermRow>(), {
    name: 'TermT',
    tableName: 'term_t',
    columns: {
      shard: { type: 'text', primary: true },
      low: { ...bigint },
      size: { ...bigint },
      currentTerm: { ...bigint, name: 'current_term' },
      committedVat: { ...bigint, name: 'committed_vat' },
      purgedTo: { ...bigint, name: 'purged_to' },
      newestEpoch: { ...optionalBigint, name: 'newest_epoch' },
      newestRound: { ...optionalBigint, name: 'newest_round' },
      newestLastTerms: { type: 'json', nullable: true, name: 'newest_last_terms' },
      newestRefused: { type: 'boolean', name: 'newest_refused' },
      configEpoch: { ...bigint, name: 'config_epoch' },
      configVersion: { ...bigint, name: 'config_version' },
      inSync: { type: 'json', name: 'in_sync' },
      replicas: { type: 'json', nullable: true },
      joining: { type: 'json', default: [] },
      diverged: { type: 'json', default: [] },
      disputed: { type: 'boolean', default: false },
      liveRows: { ...bigint, name: 'live_rows' },
      maxRowBytes: { ...bigint, name: 'max_row_bytes' },
      catchUpFrom: { ...optionalBigint, name: 'catch_up_from' },
      catchUpTo: { ...optionalBigint, name: 'catch_up_to' },
      forgottenUpTo: { ...bigint, name: 'forgotten_up_to', default: 0 },
      catchUpSource: { type: 'text', nullable: true, name: 'catch_up_source' },
      catchUpAfter: { type: 'json', nullable: true, name: 'catch_up_after' },
      copyEpoch: { ...bigint, name: 'copy_epoch' },
      copyTurn: { ...bigint, name: 'copy_turn' },
      epochStarts: { type: 'json', name: 'epoch_starts', default: [] },
      version: { ...bigint },
    },
  } as const),
);

export const OpT = new EntitySchema<OpRow>(
  Object.assign(new EntitySchemaOptions<OpRow>(), {
    name: 'OpT',
    tableName: 'op_t',
    columns: {
      shard: { type: 'text', primary: true },
      term: { ...bigint, primary: true },
      id: { type: 'text' },
      fingerprint: { type: 'text', nullable: true },
      outcome: { type: 'text' },
    },
    indices: [{ name: 'op_t_id', columns: ['shard', 'id'] }],
  } as const),
);
