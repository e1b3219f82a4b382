import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The fingerprint of a change's request is called that here, too. */
export class Fingerprints1764500000000 implements MigrationInterface {
  readonly name = 'Fingerprints1764500000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE op_t RENAME COLUMN print TO fingerprint');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE op_t RENAME COLUMN fingerprint TO print');
  }
}
