import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The outcomes of ops by their ids, and up to where each shard has forgotten them. */
export class Operations1761000000000 implements MigrationInterface {
  readonly name = 'Operations1761000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE term_t ADD COLUMN ids_after bigint NOT NULL DEFAULT 0');
    await runner.query(`
      CREATE TABLE op_t (
        shard text NOT NULL,
        term bigint NOT NULL,
        id text NOT NULL,
        print text,
        outcome text NOT NULL,
        PRIMARY KEY (shard, term))`);
    await runner.query('CREATE INDEX op_t_id ON op_t (shard, id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE op_t');
    await runner.query('ALTER TABLE term_t DROP COLUMN ids_after');
  }
}
