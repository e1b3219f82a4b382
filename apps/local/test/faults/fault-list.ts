/** Every fault that a cluster must survive. Each is caused while clients work, and is over when `cause` resolves. */
import { renameSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { nodeSubject } from '#common/contracts/subjects';
import type { Chance } from './chance';
import { FLATLINE_MS, type FaultCluster } from './fault-cluster';
import type { Frame } from './nats-frames';
import type { Treatment } from './nats-proxy';
import { SERVERS, SHARDS } from './table';

interface Scene {
  cluster: FaultCluster;
  chance: Chance;
  /** What was done to whom, for the report. */
  note: (what: string) => void;
}

export interface Fault {
  name: string;
  what: string;
  cause(scene: Scene): Promise<void>;
}

/** Thrown where a fault cannot be caused on this machine. */
export class NotHere extends Error {}

/** The server whose disk is made small. */
export const SMALL_DISK_SERVER = 'Server3';

/** Longer than the leader's lease and what a standby waits beyond it. */
const LONGER_THAN_A_LEASE_MS = 7_000;
const LONGER_THAN_A_FLATLINE_MS = 2 * FLATLINE_MS;
/** Replicas that got a round have stored it by then. */
const MID_ROUND_MS = 50;
const PARTITION_MS = 5_000;
const HARM_MS = 6_000;
const WHOLE_WITHIN_MS = 60_000;

export const FAULTS: readonly Fault[] = [
  { name: 'replica-killed', what: 'SIGKILL of one shard-node', cause: killReplica },
  { name: 'postgres-killed', what: 'SIGKILL of one Postgres alone', cause: killPostgres },
  { name: 'replicas-in-turn', what: 'SIGKILL of two replicas of a shard in turn', cause: killTwoInTurn },
  { name: 'leader-killed', what: 'SIGKILL of the leading balancer, twice', cause: killLeader },
  {
    name: 'leader-in-round',
    what: 'SIGKILL of the leader when a part of the replicas has a round',
    cause: killLeaderInRound,
  },
  { name: 'gateway-killed', what: 'SIGKILL of the gateway, twice', cause: killGateway },
  { name: 'nats-killed', what: 'SIGKILL of the NATS server; the launcher starts it again', cause: killNats },
  { name: 'power-cut', what: 'SIGKILL of everything, and a new start', cause: cutPower },
  { name: 'broker-disk-lost', what: 'a power cut, after which the disk of NATS is gone', cause: loseBrokersDisk },
  {
    name: 'broker-disk-lost-alive',
    what: 'SIGKILL of the NATS server, whose disk is gone when it is started again; all others run on',
    cause: loseBrokersDiskAlive,
  },
  {
    name: 'broker-disk-rolled-back',
    what: 'a power cut, after which NATS has the disk that it had before another one, twice',
    cause: setBrokersDiskBack,
  },
  { name: 'replica-paused', what: 'SIGSTOP of a shard-node past its flatline, SIGCONT', cause: pauseReplica },
  { name: 'leader-paused', what: 'SIGSTOP of the leading balancer past its lease, SIGCONT', cause: pauseLeader },
  { name: 'replica-slow', what: 'a shard-node that stands still most of the time', cause: slowReplica },
  {
    name: 'replica-stalled',
    what: 'partition of one server; its connection stays open',
    cause: (scene) => cutServer(scene, 'stall'),
  },
  {
    name: 'replica-cut',
    what: 'partition of one server; its connection breaks',
    cause: (scene) => cutServer(scene, 'break'),
  },
  {
    name: 'leader-stalled',
    what: 'partition of the leader; its connections stay open',
    cause: (scene) => cutLeader(scene, 'stall'),
  },
  {
    name: 'leader-cut',
    what: 'partition of the leader; its connections break',
    cause: (scene) => cutLeader(scene, 'break'),
  },
  { name: 'disk-full', what: 'no room on one server’s disk for a while', cause: fillDisk },
  { name: 'storm', what: 'several of the above, one upon the other', cause: storm },
  {
    name: 'messages-lost',
    what: '1 % of all messages get lost',
    cause: (scene) => harm(scene, { lose: 0.01, repeat: 0, delay: 0 }),
  },
  {
    name: 'messages-repeated',
    what: '10 % of all messages come twice',
    cause: (scene) => harm(scene, { lose: 0, repeat: 0.1, delay: 0 }),
  },
  {
    name: 'messages-late',
    what: '5 % of all messages come late',
    cause: (scene) => harm(scene, { lose: 0, repeat: 0, delay: 0.05 }),
  },
];

async function killReplica({ cluster, chance, note }: Scene): Promise<void> {
  const server = chance.pick(SERVERS);
  note(server);
  const pid = cluster.pidOf(server);
  process.kill(pid, 'SIGKILL');
  await cluster.untilReplaced(() => cluster.pidOf(server), pid);
}

async function killPostgres({ cluster, chance, note }: Scene): Promise<void> {
  const server = chance.pick(SERVERS);
  note(server);
  const pid = cluster.postgresOf(server);
  process.kill(pid, 'SIGKILL');
  await cluster.untilReplaced(() => cluster.postgresOf(server), pid);
}

/** The second one dies as soon as the first is replaced, or when it is back in sync. */
async function killTwoInTurn({ cluster, chance, note }: Scene): Promise<void> {
  const shard = chance.pick(SHARDS);
  const { shards } = await cluster.untilWhole(10_000);
  const inSync = shards.find((view) => view.Shard_id === shard)?.inSync ?? [];
  const [first = '', second = ''] = chance.some(inSync, 2);
  const waits = chance.happens(0.5);
  note(`${first}, then ${second}${waits ? ' when it is back' : ' at once'}`);
  const pid = cluster.pidOf(first);
  process.kill(pid, 'SIGKILL');
  if (waits) {
    await delay(LONGER_THAN_A_FLATLINE_MS);
    await cluster.untilWhole(60_000);
  } else {
    await cluster.untilReplaced(() => cluster.pidOf(first), pid);
  }
  const next = cluster.pidOf(second);
  process.kill(next, 'SIGKILL');
  await cluster.untilReplaced(() => cluster.pidOf(second), next);
}

/** Clients write all the time, so that a round is under way at nearly every moment. */
async function killLeader({ cluster, note }: Scene): Promise<void> {
  for (let time = 0; time < 2; time += 1) {
    const { name, pid, epoch } = await cluster.leader();
    note(name);
    process.kill(pid, 'SIGKILL');
    await cluster.newLeader(epoch);
    await delay(500);
  }
}

/**
 * One replica has not got the round, or only one has, or all have it and the leader does not hear of it; or nobody has, and so nobody
 * had heard that the one before was committed.
 */
async function killLeaderInRound({ cluster, chance, note }: Scene): Promise<void> {
  for (const got of chance.some(['all but one', 'only one', 'all', 'none'] as const, 4)) {
    const { name: leader, pid, epoch } = await cluster.leader();
    const server = chance.pick(SERVERS);
    await new Promise<void>((resolve) => {
      let begun = false;
      const drops = ({ subject }: Frame): boolean => {
        if (!subject.endsWith('.apply')) return begun && got === 'all' && subject.startsWith('_INBOX.');
        if (!begun) setTimeout(resolve, MID_ROUND_MS);
        begun = true;
        if (got === 'all' || got === 'none') return got === 'none';
        return (subject === nodeSubject(server, 'apply')) === (got === 'all but one');
      };
      cluster.proxy.treat((name) => (name === leader ? { how: 'drop', drops } : undefined));
    });
    process.kill(pid, 'SIGKILL');
    cluster.proxy.heal();
    note(`${leader} when ${got} of the replicas had it (${server})`);
    await cluster.newLeader(epoch);
    await delay(500);
  }
}

async function killGateway({ cluster }: Scene): Promise<void> {
  for (let time = 0; time < 2; time += 1) {
    const pid = cluster.pidOf('gateway');
    process.kill(pid, 'SIGKILL');
    await cluster.until(() => true, 30_000, 'the gateway does not come back');
    await delay(500);
  }
}

async function killNats({ cluster }: Scene): Promise<void> {
  process.kill(cluster.pidOf('nats-server'), 'SIGKILL');
  await delay(500);
}

async function cutPower({ cluster }: Scene): Promise<void> {
  await cluster.cutPowerAndStartAgain();
}

async function loseBrokersDisk({ cluster }: Scene): Promise<void> {
  await cluster.cutPowerAndStartAgain((natsDir) => rm(natsDir, { recursive: true }));
}

async function loseBrokersDiskAlive({ cluster }: Scene): Promise<void> {
  const lost = join(cluster.folder, 'lost-nats');
  process.kill(cluster.pidOf('nats-server'), 'SIGKILL');
  // All of it at once: the launcher starts another one in that place at any moment.
  renameSync(join(cluster.dataDir, 'nats'), lost);
  await rm(lost, { recursive: true });
  // The leader goes on until its lease is over, and only then somebody asks what the shard-nodes hold.
  await delay(LONGER_THAN_A_LEASE_MS);
  await cluster.untilWhole(WHOLE_WITHIN_MS);
}

/** Between the copy and its return the configuration changes: a server flatlines, and leaves its in-sync sets. */
async function setBrokersDiskBack({ cluster, chance, note }: Scene): Promise<void> {
  const copy = join(cluster.folder, 'older-copy-of-nats');
  await cluster.cutPowerAndStartAgain(async (natsDir) => {
    await rm(copy, { recursive: true, force: true });
    await cp(natsDir, copy, { recursive: true });
  });
  for (let times = 0; times < 2; times += 1) {
    await cluster.untilWhole(WHOLE_WITHIN_MS);
    const server = chance.pick(SERVERS);
    note(server);
    await pause(cluster.pidOf(server), LONGER_THAN_A_FLATLINE_MS);
    await cluster.cutPowerAndStartAgain(async (natsDir) => {
      await rm(natsDir, { recursive: true });
      await cp(copy, natsDir, { recursive: true });
    });
  }
}

async function pauseReplica({ cluster, chance, note }: Scene): Promise<void> {
  const server = chance.pick(SERVERS);
  note(server);
  await pause(cluster.pidOf(server), LONGER_THAN_A_FLATLINE_MS);
}

async function pauseLeader({ cluster, note }: Scene): Promise<void> {
  const { name, pid } = await cluster.leader();
  note(name);
  await pause(pid, LONGER_THAN_A_LEASE_MS);
}

/** Short of a flatline each time, and long enough that rounds wait for it. */
async function slowReplica({ cluster, chance, note }: Scene): Promise<void> {
  const server = chance.pick(SERVERS);
  const pid = cluster.pidOf(server);
  note(server);
  const endMs = performance.now() + HARM_MS;
  while (performance.now() < endMs) {
    if (!(await pause(pid, 100 + chance.below(500)))) return;
    await delay(20 + chance.below(80));
  }
}

async function cutServer({ cluster, chance, note }: Scene, how: 'stall' | 'break'): Promise<void> {
  const server = chance.pick(SERVERS);
  note(server);
  cluster.proxy.treat((name) => (name === `shard-node ${server}` ? { how } : undefined));
  await delay(PARTITION_MS);
  cluster.proxy.heal();
}

async function cutLeader({ cluster, note }: Scene, how: 'stall' | 'break'): Promise<void> {
  const { name: leader } = await cluster.leader();
  note(leader);
  const isLeader = (name: string): boolean => name === leader || name.startsWith(`${leader}-`);
  cluster.proxy.treat((name) => (isLeader(name) ? { how } : undefined));
  await delay(LONGER_THAN_A_LEASE_MS);
  cluster.proxy.heal();
}

async function fillDisk({ cluster, note }: Scene): Promise<void> {
  const disk = cluster.smallDisk;
  if (disk === undefined) throw new NotHere('this user may not mount a small file system');
  note(SMALL_DISK_SERVER);
  await disk.fill();
  await delay(HARM_MS);
  disk.free();
}

async function harm({ cluster }: Scene, what: Omit<Treatment & { how: 'harm' }, 'how' | 'lateMs'>): Promise<void> {
  cluster.proxy.treat(() => ({ how: 'harm', ...what, lateMs: 1_000 }));
  await delay(HARM_MS);
  cluster.proxy.heal();
}

const STRIKES: Record<string, (cluster: FaultCluster, server: string) => number | Promise<number>> = {
  replica: (cluster, server) => cluster.pidOf(server),
  Postgres: (cluster, server) => cluster.postgresOf(server),
  leader: async (cluster) => (await cluster.leader(5_000)).pid,
  NATS: (cluster) => cluster.pidOf('nats-server'),
  gateway: (cluster) => cluster.pidOf('gateway'),
};

/** The next one comes before the cluster has got over the last one. Disks stay, so that nothing may be lost. */
async function storm({ cluster, chance, note }: Scene): Promise<void> {
  for (let strike = 0; strike < 6; strike += 1) {
    const server = chance.pick(SERVERS);
    const [what, find] = chance.pick(Object.entries(STRIKES));
    const whom = what === 'replica' || what === 'Postgres' ? `${what} of ${server}` : what;
    try {
      const pid = await find(cluster, server);
      // 0 would be this process's own group.
      if (pid > 1) process.kill(pid, 'SIGKILL');
      note(whom);
    } catch {
      note(`${whom} (was not there)`);
    }
    await delay(300 + chance.below(2_500));
  }
}

/** SIGSTOP, and SIGCONT later; false when the process was gone by then, since somebody replaced it. */
async function pause(pid: number, forMs: number): Promise<boolean> {
  process.kill(pid, 'SIGSTOP');
  await delay(forMs);
  try {
    return process.kill(pid, 'SIGCONT');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    return false;
  }
}
