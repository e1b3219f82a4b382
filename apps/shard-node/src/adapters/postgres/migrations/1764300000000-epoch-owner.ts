import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which process leads under the epoch that the node has been fenced with. */
export class EpochOwner1764300000000 implements MigrationInterface {
  readonly name = 'EpochOwner1764300000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE node_t ADD COLUMN epoch_by text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE node_t DROP COLUMN epoch_by');
  }
}
