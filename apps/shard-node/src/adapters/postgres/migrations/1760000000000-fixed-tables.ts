import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The tables of every node, and the schema that the shards' tables live in. */
export class FixedTables1760000000000 implements MigrationInterface {
  readonly name = 'FixedTables1760000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE SCHEMA IF NOT EXISTS shards');
    await runner.query(`
      CREATE TABLE node_t (
        id int NOT NULL PRIMARY KEY,
        server text NOT NULL,
        epoch bigint NOT NULL,
        config_id bigint NOT NULL,
        schema json)`);
    // Each round rewrites a row of term_t: half of every page stays free for that, so that no index is touched.
    await runner.query(`
      CREATE TABLE term_t (
        shard text NOT NULL PRIMARY KEY,
        low bigint NOT NULL,
        size bigint NOT NULL,
        current_term bigint NOT NULL,
        told_vat bigint NOT NULL,
        purged_to bigint NOT NULL,
        newest_epoch bigint,
        newest_round bigint,
        newest_last_terms json,
        newest_refused boolean NOT NULL,
        config_epoch bigint NOT NULL,
        config_version bigint NOT NULL,
        in_sync json NOT NULL,
        live_rows bigint NOT NULL,
        max_row_bytes bigint NOT NULL,
        catch_up_from bigint,
        catch_up_to bigint,
        version bigint NOT NULL
      ) WITH (fillfactor = 50)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE term_t');
    await runner.query('DROP TABLE node_t');
    await runner.query('DROP SCHEMA shards CASCADE');
  }
}
