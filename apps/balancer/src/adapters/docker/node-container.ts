/** How a shard-node's container and its volume are called, marked and made. */
import type { ContainerCreateOptions } from 'dockerode';

/** By these a balancer that did not start them knows whose they are. */
export const LABELS = { cluster: 'io.shardline.cluster', server: 'io.shardline.server' } as const;

/** Where the volume is mounted; the image has the folder, and it belongs to the image's user. */
const DATA_DIR = '/data';
/** Scratch room, in memory. Postgres keeps its socket and what it shares in the data directory. */
const TMPFS = 'rw,noexec,nosuid,nodev,size=64m,mode=1777';
/** Of each container's log the engine keeps so much, and one older file. */
const LOG_FILES = { 'max-size': '32m', 'max-file': '2' };
/** A node runs about forty threads and processes. */
const PIDS_LIMIT = 512;

/** What all shard-nodes of a cluster are started with. */
export interface NodeContainerOptions {
  /** The cluster's name: all that is made begins with it. */
  cluster: string;
  image: string;
  /** Name of the engine's network. */
  network: string;
  /** NATS_URL of the nodes: where NATS is, seen from that network. */
  natsUrl: string;
  /** 0: no limit. */
  memoryBytes: number;
  /** Processors, also in parts; 0: no limit. */
  cpus: number;
  /** Variables for the nodes. Nothing else of our environment gets there. */
  env: NodeJS.ProcessEnv;
  /** What runs in the container; by default the shard-node. */
  command?: readonly string[];
}

/** Name of the container and of the volume. A name of the engine holds fewer characters than a server's: brackets are written `.5B` and `.5D`. */
export function thingName(cluster: string, server: string): string {
  return `${cluster}-${server.replaceAll('[', '.5B').replaceAll(']', '.5D')}`;
}

export function labelsOf(cluster: string, server: string): Record<string, string> {
  return { [LABELS.cluster]: cluster, [LABELS.server]: server };
}

/** As the engine filters by labels: those of the cluster, or of one server of it. */
export function labelFilter(cluster: string, server?: string): { label: string[] } {
  const ofServer = server === undefined ? [] : [`${LABELS.server}=${server}`];
  return { label: [`${LABELS.cluster}=${cluster}`, ...ofServer] };
}

/** The body of the engine's request for a container. */
export function containerOf(server: string, options: NodeContainerOptions): ContainerCreateOptions {
  const { cluster, image, network, natsUrl, memoryBytes, cpus, env, command } = options;
  const variables: NodeJS.ProcessEnv = { ...env, SERVER_NAME: server, DATA_DIR, NATS_URL: natsUrl };
  return {
    Image: image,
    Cmd: [...(command ?? ['node', 'dist/apps/shard-node/main.js'])],
    Env: Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])),
    Labels: labelsOf(cluster, server),
    // The balancer's heartbeats watch over the nodes; a process every few seconds to do it once more is not worth its time.
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      Init: true,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      Tmpfs: { '/tmp': TMPFS },
      Mounts: [{ Type: 'volume', Source: thingName(cluster, server), Target: DATA_DIR }],
      NetworkMode: network,
      // Who may run, and on which data, is the leader's to say.
      RestartPolicy: { Name: 'no' },
      PidsLimit: PIDS_LIMIT,
      LogConfig: { Type: 'json-file', Config: LOG_FILES },
      ...(memoryBytes > 0 ? { Memory: memoryBytes, MemorySwap: memoryBytes } : {}),
      ...(cpus > 0 ? { NanoCpus: Math.round(cpus * 1e9) } : {}),
    },
  };
}
