/** What every launcher promises, whatever it starts shard-nodes as. Run on processes, and on containers of a real engine. */
import { EXIT } from '#common/process/exit-status';
import { waitUntilGone } from '#common/process/process-table';
import type { NodeLauncher } from '../../src/ports/node-launcher';
import type { NodeBehaviour } from './stand-in-node';

/** One cluster on a real machine, and a look at it that does not go through the launcher. */
export interface LauncherBench {
  /** A launcher of the cluster. There may be several, one after the other. */
  launcher(behaviour?: NodeBehaviour, stopTimeoutMs?: number): NodeLauncher;
  /** Which node runs under this name: its process id, or its container's. Undefined: none. @throws when it is more than one */
  running(server: string): Promise<string | undefined>;
  /** What stand-ins have written; '' when there are no data. */
  data(server: string): Promise<string>;
  /** Lets the node stand still: it hears no request to stop. */
  pause(server: string): Promise<void>;
  /** Ends all launchers and nodes, and removes what there is of the cluster. */
  destroy(): Promise<void>;
}

const DEADLINE_MS = 30_000;

export function launcherContract(prepare: () => Promise<LauncherBench>): void {
  let bench: LauncherBench;

  beforeEach(async () => {
    bench = await prepare();
  });

  afterEach(async () => {
    await bench.destroy();
  });

  const until = async (isSo: () => Promise<boolean> | boolean): Promise<void> => {
    expect(await waitUntilGone(async () => !(await isSo()), DEADLINE_MS)).toBe(true);
  };
  const starts = async (server: string): Promise<number> => (await bench.data(server)).length / server.length;
  /** The node that runs under this name. */
  const runningNode = async (server: string): Promise<string> => {
    const node = await bench.running(server);
    if (node === undefined) throw new Error(`${server} does not run`);
    return node;
  };
  /** Starts one and waits until it is up. */
  const started = async (sut: NodeLauncher, server: string): Promise<string> => {
    const before = await starts(server);
    await sut.start(server);
    await until(async () => (await starts(server)) === before + 1);
    return runningNode(server);
  };

  /** Resolves when a node that cannot start has been started three times: one that failed before it has had its turn by then. */
  const startedAgain = async (server: string): Promise<void> => {
    const hopeless = bench.launcher({ fails: 1000, word: 'no disk' });
    await hopeless.start(server);
    await until(async () => (await starts(server)) >= 3);
    await hopeless.remove(server);
  };

  it.each(['Server0', 'Server[4]', '_x-y'])('starts and stops: %s', async (server) => {
    const sut = bench.launcher();
    expect(await sut.list()).toEqual([]);
    const node = await started(sut, server);
    expect(await bench.data(server)).toBe(server);
    expect(await sut.list()).toEqual([server]);
    expect(await runningNode(server)).toBe(node);
    await sut.stop(server);
    expect(await bench.running(server)).toBeUndefined();
    expect(await sut.list()).toEqual([]);
    await sut.stop(server);
  });

  it('keeps data when a node stops, knows of them, and gives them to the next', async () => {
    const sut = bench.launcher();
    await Promise.all([started(sut, 'a'), started(sut, 'b')]);
    await sut.stop('a');
    expect(await sut.list()).toEqual(['b']);
    expect((await sut.known()).sort()).toEqual(['a', 'b']);
    await started(sut, 'a');
    expect(await bench.data('a')).toBe('aa');
  });

  it('ends one that runs before it starts another of its name', async () => {
    const sut = bench.launcher();
    const first = await started(sut, 'a');
    const second = await started(sut, 'a');
    expect(second).not.toBe(first);
    expect(await bench.data('a')).toBe('aa');
    expect(await sut.list()).toEqual(['a']);
  });

  it('ends also one that stands still', async () => {
    const sut = bench.launcher();
    const first = await started(sut, 'a');
    await bench.pause('a');
    expect(await sut.list()).toEqual(['a']);
    expect(await started(sut, 'a')).not.toBe(first);
  });

  it('kills what does not stop in time', async () => {
    const sut = bench.launcher({ stubborn: true }, 200);
    await started(sut, 'a');
    await sut.stop('a');
    expect(await bench.running('a')).toBeUndefined();
  });

  it('lets nodes go on when the balancer ends, and another finds them', async () => {
    const first = bench.launcher();
    await Promise.all(['a', 'b', 'c'].map((name) => started(first, name)));
    const [oldA, oldB] = [await runningNode('a'), await runningNode('b')];
    first.close();
    expect(await runningNode('b')).toBe(oldB);
    const second = bench.launcher();
    expect((await second.list()).sort()).toEqual(['a', 'b', 'c']);
    expect((await second.known()).sort()).toEqual(['a', 'b', 'c']);
    await second.stop('b');
    expect(await bench.running('b')).toBeUndefined();
    expect(await started(second, 'a')).not.toBe(oldA);
    expect(await bench.data('a')).toBe('aa');
  });

  it('removes a node with its data, and nobody else’s', async () => {
    const sut = bench.launcher();
    await Promise.all([started(sut, 'a'), started(sut, 'ab')]);
    await sut.remove('a');
    expect(await bench.running('a')).toBeUndefined();
    expect(await bench.data('a')).toBe('');
    expect(await sut.known()).toEqual(['ab']);
    expect(await sut.list()).toEqual(['ab']);
    await sut.remove('never-there');
    await started(sut, 'a');
    expect(await bench.data('a')).toBe('a');
  });

  it('removes the data of one that does not run', async () => {
    const sut = bench.launcher();
    await started(sut, 'a');
    await sut.stop('a');
    await sut.remove('a');
    expect(await sut.known()).toEqual([]);
  });

  it('does one thing after the other for a server, however it is asked', async () => {
    const sut = bench.launcher();
    await Promise.all([sut.start('a'), sut.stop('a'), sut.start('a'), sut.start('a'), sut.remove('a'), sut.start('a')]);
    expect(await sut.list()).toEqual(['a']);
    await until(async () => (await bench.data('a')) === 'a');
    await runningNode('a');
  });

  it('starts again what cannot start, until it does', async () => {
    const sut = bench.launcher({ fails: 2, word: 'no disk' });
    await sut.start('a');
    await until(async () => (await starts('a')) === 3);
    const node = await runningNode('a');
    // One that had failed once more would have been started again by then.
    await startedAgain('c');
    expect(await runningNode('a')).toBe(node);
    expect(await starts('a')).toBe(3);
    expect(sut.failureOf('a')).toBeNull();
  });

  it('says why after three failures, and tries no more once the node is to stop', async () => {
    const sut = bench.launcher({ fails: 1000, word: 'no disk' });
    await sut.start('a');
    expect(sut.failureOf('a')).toBeNull();
    await until(() => sut.failureOf('a') !== null);
    expect(sut.failureOf('a')).toBe('no disk');
    expect(await starts('a')).toBeGreaterThanOrEqual(3);
    await sut.stop('a');
    expect(sut.failureOf('a')).toBeNull();
    const before = await starts('a');
    await startedAgain('c');
    expect(await starts('a')).toBe(before);
  });

  it('says at once why a node will never start', async () => {
    const word = 'wrong configuration: X';
    const sut = bench.launcher({ fails: 1000, status: EXIT.config, word });
    await sut.start('a');
    await until(() => sut.failureOf('a') !== null);
    expect(sut.failureOf('a')).toBe(word);
    await startedAgain('c');
    expect(await starts('a')).toBe(1);
  });

  it('starts nothing again when it is closed', async () => {
    const sut = bench.launcher({ fails: 1000, word: 'no disk' });
    await sut.start('a');
    await until(async () => (await starts('a')) >= 1);
    sut.close();
    // One that was under way in this moment may still come.
    const atMost = (await starts('a')) + 1;
    await startedAgain('c');
    expect(await starts('a')).toBeLessThanOrEqual(atMost);
  });

  it.each(['../a', 'a/b', '', '.', 'a\n'])('refuses a name that no server can have: %j', async (name) => {
    const sut = bench.launcher();
    for (const act of [sut.start(name), sut.stop(name), sut.remove(name)]) {
      await expect(act).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    }
    expect(await sut.known()).toEqual([]);
  });
}
