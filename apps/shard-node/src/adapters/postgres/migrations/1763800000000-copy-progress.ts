import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How far a copy has got, and the newest request for one. A copy that was under way before this begins anew. */
export class CopyProgress1763800000000 implements MigrationInterface {
  readonly name = 'CopyProgress1763800000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE term_t
        ADD COLUMN catch_up_source text,
        ADD COLUMN catch_up_after json,
        ADD COLUMN copy_epoch bigint NOT NULL DEFAULT 0,
        ADD COLUMN copy_turn bigint NOT NULL DEFAULT 0`);
    // Only for the rows that are there: every statement of ours names all columns.
    await runner.query('ALTER TABLE term_t ALTER COLUMN copy_epoch DROP DEFAULT, ALTER COLUMN copy_turn DROP DEFAULT');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE term_t
        DROP COLUMN catch_up_source,
        DROP COLUMN catch_up_after,
        DROP COLUMN copy_epoch,
        DROP COLUMN copy_turn`);
  }
}
