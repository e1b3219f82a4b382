/**
 * Shard-nodes as containers of one Docker engine, each with a volume of its own.
 *
 *     <cluster>-<server>                  the container, and the volume, which outlives it
 *     io.shardline.cluster, .server       their labels
 *
 * The balancer may be killed and started again, or another one may lead: what runs is found by its labels. Nothing is remembered here
 * that the engine does not know, but what became of the newest starts.
 */
import { ShardlineError } from '#common/contracts/errors';
import type { Logger } from '#common/logging/logger';
import { EXIT } from '#common/process/exit-status';
import { lastWordOf } from '#common/process/last-word';
import { pollUntil } from '#common/waiting/retry';
import type { NodeLauncher } from '../../ports/node-launcher';
import { ServerOrders, STARTING_MS } from '../launching/server-orders';
import { DockerEngine, EngineError, isConflict, isMissing, isUnchanged, type EngineOptions } from './engine';
import { containerOf, LABELS, labelFilter, labelsOf, thingName, type NodeContainerOptions } from './node-container';
import { textOfLog } from './container-log';

const DEFAULT_STOP_TIMEOUT_MS = 12_000;
const REMOVE_POLL_MS = 100;
const LOG_LINES = 50;
/** A process that a signal has ended: 128 and the signal's number. */
const BY_SIGNAL = 128;

export interface DockerNodeLauncherOptions extends EngineOptions, NodeContainerOptions {
  logger: Logger;
  /** How long a node may take to stop by itself before it is killed. */
  stopTimeoutMs?: number;
  /** Before a node that could not start is started again. */
  retryPauseMs?: number;
}

interface LabelledVolume {
  Name: string;
  Labels: Record<string, string>;
}

export class DockerNodeLauncher implements NodeLauncher {
  private readonly engine: DockerEngine;
  private readonly logger: Logger;
  private readonly orders: ServerOrders;

  /** @throws ConfigError when the engine's address is none */
  constructor(private readonly options: DockerNodeLauncherOptions) {
    this.engine = new DockerEngine(options);
    this.logger = options.logger;
    const inWords = (server: string, error: unknown): ShardlineError => this.inWords(server, error);
    this.orders = new ServerOrders(options.logger, inWords, options.retryPauseMs);
  }

  /** @throws ShardlineError STORE_FAILED when the container cannot be started, or the old one cannot be ended */
  start(server: string): Promise<void> {
    const order = this.orders.take(server);
    return this.orders.inTurn(server, async () => {
      await this.removeContainers(server);
      await this.run(server, order);
    });
  }

  /** @throws ShardlineError STORE_FAILED when the container cannot be ended */
  stop(server: string): Promise<void> {
    this.orders.take(server);
    return this.orders.inTurn(server, () => this.end(server));
  }

  /** @throws ShardlineError STORE_FAILED when the container cannot be ended, or its volume cannot be removed */
  remove(server: string): Promise<void> {
    this.orders.take(server);
    return this.orders.inTurn(server, async () => {
      await this.end(server);
      await this.removeVolume(server);
    });
  }

  failureOf(server: string): string | null {
    return this.orders.failureOf(server);
  }

  async list(): Promise<string[]> {
    const { cluster } = this.options;
    const running = await this.asked('list the containers', (abortSignal) =>
      this.engine.docker.listContainers({ filters: labelFilter(cluster), abortSignal }),
    );
    return serversOf(running);
  }

  async known(): Promise<string[]> {
    return serversOf(await this.volumes());
  }

  close(): void {
    this.orders.close();
    this.engine.close();
  }

  /** The volume first, so that its labels are ours: the engine would make one without any. */
  private async run(server: string, order: number): Promise<void> {
    const isNew = await this.provideVolume(server);
    try {
      const id = await this.create(server);
      await this.startContainer(id);
      this.logger.info({ server, container: id }, 'shard-node started');
      this.watchStart(server, id, order);
    } catch (error) {
      await this.undo(server, isNew);
      throw error;
    }
  }

  /** What cannot be undone now is removed with the next order for this server; why it failed in the first place is what the caller hears. */
  private async undo(server: string, isNewVolume: boolean): Promise<void> {
    try {
      await this.removeContainers(server);
      if (isNewVolume) await this.removeVolume(server);
    } catch (error) {
      this.logger.warn({ server, err: error }, 'what was made for a shard-node that did not start cannot be removed');
    }
  }

  private async create(server: string): Promise<string> {
    const { cluster } = this.options;
    // Apart, since dockerode would put all of the body into the address, too.
    const request = { _query: { name: thingName(cluster, server) }, _body: containerOf(server, this.options) };
    const container = await this.engine.call('create the container', (abortSignal) =>
      this.engine.docker.createContainer({ ...request, abortSignal }),
    );
    return container.id;
  }

  private async startContainer(id: string): Promise<void> {
    try {
      await this.engine.call('start the container', (abortSignal) =>
        this.engine.docker.getContainer(id).start({ abortSignal }),
      );
    } catch (error) {
      if (!isUnchanged(error)) throw error;
    }
  }

  /** Waits on the side for the end of a node that could not start. */
  private watchStart(server: string, id: string, order: number): void {
    this.awaitEnd(id).then(
      (status) => {
        if (status === null || status === 0 || status > BY_SIGNAL) return;
        return this.couldNotStart(server, id, order, status);
      },
      // That it ended is then noticed by its silence.
      (error: unknown) => {
        if (this.orders.stands(server, order)) this.logger.warn({ server, err: error }, 'cannot watch the start');
      },
    );
  }

  /** The exit status, when it ends as long as it is starting; null: it has not. */
  private async awaitEnd(id: string): Promise<number | null> {
    const beforeMs = performance.now();
    try {
      const ended = (await this.engine.call(
        'wait for the container',
        (abortSignal) => this.engine.docker.getContainer(id).wait({ abortSignal }),
        STARTING_MS,
      )) as { StatusCode: number };
      return performance.now() - beforeMs < STARTING_MS ? ended.StatusCode : null;
    } catch (error) {
      if (isMissing(error) || performance.now() - beforeMs >= STARTING_MS) return null;
      throw error;
    }
  }

  private async couldNotStart(server: string, id: string, order: number, status: number): Promise<void> {
    const word = await this.lastWord(id);
    const why = word === '' ? `exit status ${status} of container ${thingName(this.options.cluster, server)}` : word;
    this.orders.couldNotStart(server, order, { why, isFinal: status === EXIT.config }, async () => {
      await this.removeContainers(server);
      await this.run(server, order);
    });
  }

  /** '' as well when nobody tells: it is only for people. */
  private async lastWord(id: string): Promise<string> {
    try {
      const log = await this.engine.call('read the log', (abortSignal) =>
        this.engine.docker.getContainer(id).logs({ stdout: true, stderr: true, tail: LOG_LINES, abortSignal }),
      );
      return lastWordOf(textOfLog(log));
    } catch {
      return '';
    }
  }

  /** Gracefully where it can be: the engine kills what does not stop in time. */
  private async end(server: string): Promise<void> {
    const stopMs = this.options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS;
    for (const id of await this.containers(server)) {
      try {
        await this.engine.call(
          'stop the container',
          (abortSignal) => this.engine.docker.getContainer(id).stop({ t: Math.ceil(stopMs / 1000), abortSignal }),
          stopMs,
        );
      } catch (error) {
        if (!isUnchanged(error) && !isMissing(error)) throw error;
      }
    }
    await this.removeContainers(server);
  }

  /** Kills and removes all that bear the server's labels, also what a start that was broken off has left. Resolves when they are gone. */
  private async removeContainers(server: string): Promise<void> {
    for (const id of await this.containers(server)) await this.removeContainer(server, id);
  }

  private async removeContainer(server: string, id: string): Promise<void> {
    const word = await this.lastWord(id);
    try {
      await this.engine.call('remove the container', (abortSignal) =>
        this.engine.docker.getContainer(id).remove({ force: true, v: true, abortSignal }),
      );
      // Its log goes with it.
      this.logger.info({ server, container: id, ...(word === '' ? {} : { lastWord: word }) }, 'container removed');
    } catch (error) {
      if (isMissing(error)) return;
      // Another balancer removes it in this moment.
      if (!isConflict(error)) throw error;
      await this.untilGone(server, id, error);
    }
  }

  private async untilGone(server: string, id: string, conflict: unknown): Promise<void> {
    const look = async (): Promise<true | undefined> =>
      (await this.containers(server)).includes(id) ? undefined : true;
    const isGone = await pollUntil(look, { deadlineMs: this.options.timeoutMs, pauseMs: REMOVE_POLL_MS });
    if (isGone !== true) throw conflict;
  }

  /** Of the server, whether they run or not. */
  private async containers(server: string): Promise<string[]> {
    const filters = labelFilter(this.options.cluster, server);
    const found = await this.engine.call('list the containers', (abortSignal) =>
      this.engine.docker.listContainers({ all: true, filters, abortSignal }),
    );
    return found.map(({ Id }) => Id);
  }

  private async volumes(): Promise<LabelledVolume[]> {
    const { cluster } = this.options;
    // The engine says null for none.
    const { Volumes } = (await this.asked('list the volumes', (abortSignal) =>
      this.engine.docker.listVolumes({ filters: labelFilter(cluster), abortSignal }),
    )) as { Volumes: LabelledVolume[] | null };
    return Volumes ?? [];
  }

  /** @returns whether it was made now */
  private async provideVolume(server: string): Promise<boolean> {
    const { cluster } = this.options;
    const Name = thingName(cluster, server);
    if ((await this.volumes()).some((volume) => volume.Name === Name)) return false;
    await this.engine.call('create the volume', (abortSignal) =>
      this.engine.docker.createVolume({ Name, Labels: labelsOf(cluster, server), abortSignal }),
    );
    // The engine hands out one that somebody else has made as it is.
    if ((await this.volumes()).some((volume) => volume.Name === Name)) return true;
    throw new ShardlineError('STORE_FAILED', `the volume ${Name} is there, and is not of cluster ${cluster}`);
  }

  /** Until the engine has let go of it: a container that was just removed may hold it for a moment. */
  private async removeVolume(server: string): Promise<void> {
    const name = thingName(this.options.cluster, server);
    if (!(await this.volumes()).some((volume) => volume.Name === name)) return;
    let held: unknown;
    const remove = async (): Promise<true | undefined> => {
      try {
        await this.engine.call('remove the volume', (abortSignal) =>
          this.engine.docker.getVolume(name).remove({ abortSignal }),
        );
      } catch (error) {
        if (isMissing(error)) return true;
        if (!isConflict(error)) throw error;
        held = error;
        return undefined;
      }
      return true;
    };
    const isGone = await pollUntil(remove, { deadlineMs: this.options.timeoutMs, pauseMs: REMOVE_POLL_MS });
    if (isGone !== true) throw held;
  }

  /** A question that is not about one server. */
  private async asked<T>(what: string, make: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await this.engine.call(what, make);
    } catch (error) {
      throw ShardlineError.from(error, 'STORE_FAILED');
    }
  }

  private inWords(server: string, error: unknown): ShardlineError {
    if (!(error instanceof EngineError)) return ShardlineError.from(error, 'STORE_FAILED');
    const hint =
      isMissing(error) && error.message.includes('No such image') ? '; build or load it, or set DOCKER_IMAGE' : '';
    const message = `the Docker engine refuses ${server}: ${error.message.trim()}${hint}`;
    return new ShardlineError('STORE_FAILED', message, false, { cause: error });
  }
}

/** By their labels, each once. */
function serversOf(things: readonly { Labels: Record<string, string> }[]): string[] {
  const names = things.flatMap(({ Labels }) => Labels[LABELS.server] ?? []);
  return [...new Set(names)].sort();
}
