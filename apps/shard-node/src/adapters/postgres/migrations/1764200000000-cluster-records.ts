import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The whole record of the cluster and of every shard, what is prepared, and how far the node has heard of the bucket. */
export class ClusterRecords1764200000000 implements MigrationInterface {
  readonly name = 'ClusterRecords1764200000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE node_t ADD COLUMN cluster json, ADD COLUMN mark json, ADD COLUMN prepared json');
    await runner.query(`
      ALTER TABLE term_t
        ADD COLUMN replicas json,
        ADD COLUMN joining json NOT NULL DEFAULT '[]',
        ADD COLUMN diverged json NOT NULL DEFAULT '[]',
        ADD COLUMN disputed boolean NOT NULL DEFAULT false`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'ALTER TABLE term_t DROP COLUMN replicas, DROP COLUMN joining, DROP COLUMN diverged, DROP COLUMN disputed',
    );
    await runner.query('ALTER TABLE node_t DROP COLUMN cluster, DROP COLUMN mark, DROP COLUMN prepared');
  }
}
