/** What is done to a cluster, how to know that it is over, and what is to be reported of it. Times are milliseconds since the fault. */
const WAIT_MS = 180_000;

const rounded = (ms) => `${Math.round(ms)} ms`;

/** Kills one shard-node; it comes back, with its data or without. */
function replicaDies(server, diskIsLost) {
  return {
    name: diskIsLost ? 'disk' : 'replica',
    title: `SIGKILL of one of three replicas (${server}), its disk ${diskIsLost ? 'lost' : 'kept'}`,
    aim: 'no error; longest write under 500 ms; catch-up pauses under 50 ms for each shard',
    async run({ cluster, events }) {
      const pid = cluster.nodePid(server);
      const atMs = performance.now();
      process.kill(pid, 'SIGKILL');
      if (diskIsLost) await cluster.loseDisk(server);
      const flatline = await events.first(atMs, 'server.flatline', server, WAIT_MS);
      const back = await events.first(atMs, 'server.respawned', server, WAIT_MS);
      await events.first(atMs, 'server.recovered', server, WAIT_MS);
      await cluster.untilWhole(WAIT_MS);
      const wholeMs = performance.now();
      return {
        atMs,
        figures: [
          ['noticed as dead after', rounded(flatline.atMs - atMs)],
          ['another process begun after', rounded(back.atMs - atMs)],
          ['all replicas in sync after', rounded(wholeMs - atMs)],
        ],
        window: (seen) => catchUps(seen, events.since(atMs, 'shard.insync'), events.since(atMs, 'shard.syncing')),
      };
    },
  };
}

/** What catching up cost: as the leader counts it, and as clients saw it. */
function catchUps(seen, insync, syncing) {
  if (insync.length === 0) return [['catch-ups', 'none: nothing was missing']];
  const firstMs = Math.min(...[...syncing, ...insync].map(({ atMs }) => atMs));
  const lastMs = Math.max(...insync.map(({ atMs }) => atMs));
  const pauses = new Map();
  let rows = 0;
  let bytes = 0;
  let copyMs = 0;
  for (const { data } of insync) {
    pauses.set(data.shard, (pauses.get(data.shard) ?? 0) + data.pauseMs);
    rows += data.rows;
    bytes += data.bytes;
    copyMs += data.copyMs ?? data.durationMs;
  }
  const lines = [
    ['catch-ups', `${insync.length}, ${rows} rows, ${(bytes / 1e6).toFixed(1)} MB in ${rounded(lastMs - firstMs)}`],
    ['pauses of writes by shard (pauseMs)', [...pauses].map(([shard, ms]) => `${shard} ${rounded(ms)}`).join(', ')],
    ['longest write while they went on', rounded(seen(firstMs, lastMs).longestMs)],
  ];
  if (bytes > 1e6 && copyMs > 0)
    lines.push(['copied, by shard and second', `${(bytes / 1e3 / copyMs).toFixed(1)} MB/s`]);
  return lines;
}

/** One shard-node stands still, as on a machine that swaps: its connections stay open, and it answers nothing. */
function replicaHangs(server) {
  return {
    name: 'stopped',
    title: `SIGSTOP of one of three replicas (${server})`,
    aim: 'no error; longest write and longest read under 1 s',
    async run({ cluster, events }) {
      const pid = cluster.nodePid(server);
      const atMs = performance.now();
      process.kill(pid, 'SIGSTOP');
      const left = await events.first(atMs, 'shard.stale', undefined, WAIT_MS);
      const flatline = await events.first(atMs, 'server.flatline', server, WAIT_MS);
      await events.first(atMs, 'server.recovered', server, WAIT_MS);
      await cluster.untilWhole(WAIT_MS);
      const wholeMs = performance.now();
      return {
        atMs,
        figures: [
          ['first out of an in-sync set after', rounded(left.atMs - atMs)],
          ['noticed as dead after', rounded(flatline.atMs - atMs)],
          ['all replicas in sync after', rounded(wholeMs - atMs)],
        ],
      };
    },
  };
}

function leaderEnds(signal) {
  const isGraceful = signal === 'SIGTERM';
  return {
    name: isGraceful ? 'leader-stop' : 'leader-kill',
    title: `${signal} to the leading balancer`,
    aim: `no error; longest write under ${isGraceful ? 300 : 6_000} ms`,
    async run({ cluster, events }) {
      const { leader } = await cluster.status();
      const pid = cluster.balancerPid(leader);
      const atMs = performance.now();
      process.kill(pid, signal);
      const elected = await events.first(atMs, 'leader.elected', undefined, WAIT_MS);
      const cause = `${elected.subject}, ${elected.data.cause}`;
      return { atMs, figures: [['another leads after', `${rounded(elected.atMs - atMs)} (${cause})`]] };
    },
  };
}

function natsDies() {
  return {
    name: 'nats',
    title: 'SIGKILL of nats-server, which the launcher starts again',
    aim: 'no error; longest write under its restart + 1 s',
    async run({ cluster }) {
      const pid = cluster.natsPid();
      const atMs = performance.now();
      process.kill(pid, 'SIGKILL');
      // As long as it is still being ended it may listen.
      while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 2));
      await cluster.untilNatsListens();
      return { atMs, figures: [['NATS listens again after', rounded(performance.now() - atMs)]] };
    },
  };
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const FAULTS = [
  replicaDies('Server0', false),
  leaderEnds('SIGKILL'),
  leaderEnds('SIGTERM'),
  natsDies(),
  replicaDies('Server1', true),
  replicaHangs('Server3'),
];

module.exports = { FAULTS, WAIT_MS };
