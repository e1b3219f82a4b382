/** A Postgres as somebody else would run it: made by initdb, with the settings that it has by itself, on a port. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { spawnGuarded } from '#common/process/guard';
import { freePort } from '#common/testing/free-port';
import { findBinaries } from '../../src/adapters/embedded-postgres/binaries';
import { runGuarded } from '../../src/adapters/embedded-postgres/guarded-run';
import { chooseUser } from '../../src/adapters/embedded-postgres/run-as';
import { DATABASE_USER, initdbArgs, READY_LINE } from '../../src/adapters/embedded-postgres/postgres-settings';

const INITDB_MS = 60_000;

export class ForeignPostgres {
  private constructor(
    private readonly child: ChildProcess,
    private readonly dir: string,
    readonly port: number,
  ) {}

  /** @param settings those that differ from Postgres's own */
  static async start(settings: Record<string, string> = {}): Promise<ForeignPostgres> {
    const dir = await mkdtemp(join(tmpdir(), 'shardline-foreign-'));
    const data = join(dir, 'data');
    const binaries = await findBinaries();
    const runAs = await chooseUser(binaries.postgres, dir);
    await mkdir(data);
    await runAs.own(data);
    await runGuarded(runAs.invoke(binaries.initdb, initdbArgs(data)), INITDB_MS);
    const port = await freePort();
    const all = { port: String(port), unix_socket_directories: data, ...settings };
    const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const { program, args: words, ...as } = runAs.invoke(binaries.postgres, ['-D', data, ...args]);
    const child = spawnGuarded(program, words, 'QUIT', { ...as, cwd: '/', stdout: 'pipe', detached: true });
    const postgres = new ForeignPostgres(child, dir, port);
    await postgres.untilReady();
    return postgres;
  }

  /** By its socket, since initdb was asked to let nobody in by the network. */
  url(user = DATABASE_USER, database = 'postgres'): string {
    return `postgres://${user}@localhost:${this.port}/${database}?host=${encodeURIComponent(join(this.dir, 'data'))}`;
  }

  async stop(): Promise<void> {
    const gone = once(this.child, 'close');
    this.child.kill('SIGINT');
    await gone;
    await rm(this.dir, { recursive: true, force: true });
  }

  private untilReady(): Promise<void> {
    return new Promise((resolve, reject) => {
      const said: string[] = [];
      for (const stream of [this.child.stdout, this.child.stderr]) {
        if (stream === null) continue;
        createInterface({ input: stream }).on('line', (line) => {
          said.push(line);
          if (line.includes(READY_LINE)) resolve();
        });
      }
      this.child.once('close', () => {
        reject(new Error(said.join('\n')));
      });
    });
  }
}
