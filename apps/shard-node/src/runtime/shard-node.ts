/** A shard-node: its store on Postgres, its replica, its verbs on NATS. */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import type { INestMicroservice } from '@nestjs/common';
import type { Logger } from '#common/logging/logger';
import { NatsCopySource } from '../adapters/nats/nats-copy-source';
import { requireConnections } from '../adapters/postgres/connection-limit';
import { openDataSource, type PostgresAddress } from '../adapters/postgres/data-source';
import { PostgresVersionStore } from '../adapters/postgres/postgres-version-store';
import type { ShardNodeConfig } from '#common/config/shard-node-config';
import type { VersionStore } from '../ports/version-store';
import { createTransport, listen } from './node-app';
import { MeasuredVitals } from './process-vitals';
import { Replica, type ReplicaOptions } from './replica';
import { WorkInFlight } from '#common/process/work-in-flight';

/** Well below what a balancer waits for (CATCHUP_TIMEOUT_MS), a page that takes long included. */
const CATCH_UP_SLICE_MS = 1_000;
const DIGEST_PAGE_KEYS = 10_000;
const DIGEST_SLICE_MS = 1_000;

export class ShardNode {
  private constructor(
    private readonly app: INestMicroservice,
    private readonly replica: Replica,
    private readonly store: VersionStore,
    private readonly vitals: MeasuredVitals,
  ) {}

  /** Brings the tables up to date, then answers on NATS; resolves when it can be asked. */
  static async start(config: ShardNodeConfig, address: PostgresAddress, logger: Logger): Promise<ShardNode> {
    const { POOL_SIZE: poolSize, STATEMENT_TIMEOUT_MS: statementTimeoutMs, DATABASE_URL: databaseUrl } = config;
    if (databaseUrl !== undefined) await requireConnections(databaseUrl, poolSize);
    const dataSource = await openDataSource({ address, poolSize, statementTimeoutMs });
    const store = new PostgresVersionStore(dataSource, config.SERVER_NAME);
    const vitals = new MeasuredVitals(databaseUrl === undefined ? config.DATA_DIR : null, logger);
    try {
      const work = new WorkInFlight();
      const transport = createTransport(config, work);
      const source = new NatsCopySource(() => transport.connection, config.COPY_TIMEOUT_MS);
      const replica = await Replica.open(store, source, { ...replicaOptions(config), vitals }, logger);
      const app = await listen(config, transport, replica, work, logger);
      return new ShardNode(app, replica, store, vitals);
    } catch (error) {
      vitals.stop();
      await store.close();
      throw error;
    }
  }

  /** Takes nothing new, finishes and answers what is in flight, then lets go of Postgres. */
  async stop(): Promise<void> {
    await this.app.close();
    await this.replica.stop();
    this.vitals.stop();
    await this.store.close();
  }
}

function replicaOptions(config: ShardNodeConfig): ReplicaOptions {
  return {
    server: config.SERVER_NAME,
    instance: randomUUID(),
    applyQueueLimit: config.APPLY_QUEUE_LIMIT,
    readWidth: config.POOL_SIZE,
    readQueueLimit: config.READ_QUEUE_LIMIT,
    pageBytes: config.PAGE_BYTES,
    catchUpSliceMs: CATCH_UP_SLICE_MS,
    digestPageKeys: DIGEST_PAGE_KEYS,
    digestSliceMs: DIGEST_SLICE_MS,
    probeTimeoutMs: config.PROBE_TIMEOUT_MS,
    nowMs: () => performance.now(),
  };
}
