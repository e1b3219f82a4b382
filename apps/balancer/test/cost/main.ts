/**
 * `make cost`: what a take-over and the events of a leader cost, by the number of shards and of writes that wait.
 *
 * `SERVERS=12` servers, three replicas of each shard. Each figure is the best of three runs: what disturbs a run is not the core's.
 */
import { Crowd, type Cost } from './crowd';

const RUNS = 3;
const SERVERS = Number(process.env.SERVERS ?? 12);

function best(measure: () => Cost): Cost {
  const costs = Array.from({ length: RUNS }, measure);
  return costs.reduce((least, cost) => (cost.totalMs < least.totalMs ? cost : least));
}

function print(what: string, { steps, totalMs, longestMs }: Cost): void {
  const [total, longest] = [totalMs.toFixed(1), longestMs.toFixed(1)];
  process.stdout.write(`${what}: ${total} ms in ${steps} steps, the longest ${longest} ms\n`);
}

for (const shards of [128, 256, 512, 1_024]) {
  const crowd = Crowd.of(shards, SERVERS);
  print(
    `take-over with ${shards} shards`,
    best(() => crowd.takeOver()),
  );
}
for (const isTold of [true, false]) {
  const crowd = Crowd.of(1_024, SERVERS);
  print(
    `take-over with 1024 shards that share a round, ${isTold ? 'known' : 'not known'} to be committed`,
    best(() => {
      crowd.writeEverywhere(isTold);
      return crowd.takeOver();
    }),
  );
}
for (const waiting of [10_000, 160_000]) {
  const crowd = Crowd.of(64, SERVERS);
  crowd.holdsRounds = true;
  crowd.write(waiting);
  print(
    `1,000 ticks while ${waiting} writes wait`,
    best(() => {
      crowd.measure();
      for (let tick = 0; tick < 1_000; tick += 1) crowd.tick();
      return crowd.cost;
    }),
  );
}
