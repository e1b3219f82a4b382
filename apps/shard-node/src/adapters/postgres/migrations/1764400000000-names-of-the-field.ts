import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Columns are called what they are called everywhere else. */
export class NamesOfTheField1764400000000 implements MigrationInterface {
  readonly name = 'NamesOfTheField1764400000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE term_t RENAME COLUMN told_vat TO committed_vat');
    await runner.query('ALTER TABLE term_t RENAME COLUMN ids_after TO forgotten_up_to');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE term_t RENAME COLUMN forgotten_up_to TO ids_after');
    await runner.query('ALTER TABLE term_t RENAME COLUMN committed_vat TO told_vat');
  }
}
