/** The clusters of a file of tests: started for them, and nothing is left of them afterwards, however the tests end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asker, type Ask } from './asker';
import { Client } from './client';
import { EventWatch } from './event-watch';
import { LocalCluster, type LocalClusterOptions } from './local-cluster';

/** With room for a machine that does twenty other things. */
const START_MS = 240_000;
const END_MS = 120_000;

/** One cluster and who speaks with it; both are there before the cluster is. */
export class SharedCluster {
  /** For requests as odd as clients send them. */
  readonly ask: Ask = (...asked) => asker(this.cluster.baseUrl)(...asked);
  readonly client = new Client(() => this.cluster.baseUrl);
  /** What happened since it was started. */
  readonly events = new EventWatch();
  private running: LocalCluster | undefined;
  private folder: string | undefined;

  constructor(private readonly options: LocalClusterOptions) {}

  /** @throws before the first test, when it is not there yet */
  get cluster(): LocalCluster {
    if (this.running === undefined) throw new Error('the cluster is started before the first test, and used in tests');
    return this.running;
  }

  async start(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'shardline-'));
    this.running = await LocalCluster.start({ dataDir: join(this.folder, 'data'), ...this.options });
    await this.events.open(this.running.natsUrl);
  }

  /** Stops all of it in order, lets `meanwhile` have its data, and starts it again in its place. */
  async restart(meanwhile: (dataDir: string) => Promise<void> = () => Promise.resolve()): Promise<void> {
    const { dataDir, port, natsPort } = this.cluster;
    const { env = {} } = this.options;
    await this.cluster.stopAndKeep();
    await meanwhile(dataDir);
    this.running = await LocalCluster.start({ dataDir, port, natsPort, env });
  }

  async destroy(): Promise<void> {
    await this.events.close();
    await this.running?.destroy();
    if (this.folder !== undefined) await rm(this.folder, { recursive: true, force: true });
  }
}

/** One cluster for all tests of the file, or of the `describe` in which this is called. */
export function sharedCluster(options: LocalClusterOptions = {}): SharedCluster {
  const shared = new SharedCluster(options);
  beforeAll(() => shared.start(), START_MS);
  afterAll(() => shared.destroy(), END_MS);
  return shared;
}

/** A folder, and clusters that tests start in it. */
export class TestFolder {
  private path: string | undefined;
  private readonly clusters: LocalCluster[] = [];

  /** @throws before it is made */
  get folder(): string {
    if (this.path === undefined) throw new Error('the folder is made before the first test, and used in tests');
    return this.path;
  }

  /** Where a cluster keeps its data unless a test says otherwise. */
  get dataDir(): string {
    return join(this.folder, 'data');
  }

  async start(options: LocalClusterOptions = {}): Promise<LocalCluster> {
    const cluster = await LocalCluster.start({ dataDir: this.dataDir, ...options });
    this.clusters.push(cluster);
    return cluster;
  }

  async make(): Promise<void> {
    this.path = await mkdtemp(join(tmpdir(), 'shardline-'));
  }

  async remove(): Promise<void> {
    for (const cluster of this.clusters.splice(0)) await cluster.destroy();
    await rm(this.folder, { recursive: true, force: true });
    this.path = undefined;
  }
}

/** A folder of its own for every test; the clusters that were started in it end with the test. */
export function folderPerTest(): TestFolder {
  const folder = new TestFolder();
  beforeEach(() => folder.make());
  afterEach(() => folder.remove(), END_MS);
  return folder;
}

/** One folder for all tests of the file, or of the `describe` in which this is called. */
export function folderForAll(): TestFolder {
  const folder = new TestFolder();
  beforeAll(() => folder.make());
  afterAll(() => folder.remove(), END_MS);
  return folder;
}
