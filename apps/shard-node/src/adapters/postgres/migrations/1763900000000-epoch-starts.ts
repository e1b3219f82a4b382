import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What take-overs decided of each shard. */
export class EpochStarts1763900000000 implements MigrationInterface {
  readonly name = 'EpochStarts1763900000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE term_t ADD COLUMN epoch_starts json NOT NULL DEFAULT '[]'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE term_t DROP COLUMN epoch_starts');
  }
}
