/**
 * `make cost`: what a take-over and the events of a leader cost, by the number of shards and of writes that wait.
 *
 * `SERVERS=12` servers, three replicas of each shard. Each figure is the best of three runs: what disturbs a run is not the core's. The
 * first run of a take-over is told as well: code that has not run before takes longer.
 */
import { Crowd, type Cost } from './crowd';

const RUNS = 3;
const SERVERS = Number(process.env.SERVERS ?? 12);

interface Costs {
  first: Cost;
  best: Cost;
}

function measured(measure: () => Cost): Costs {
  const first = measure();
  const others = Array.from({ length: RUNS - 1 }, measure);
  return { first, best: others.reduce((least, cost) => (cost.total < least.total ? cost : least), first) };
}

function print(what: string, { first, best }: Costs): void {
  const told = ({ total, longest }: Cost): string =>
    `${total.toFixed(1)} ms, the longest of ${best.steps} steps ${longest.toFixed(1)} ms`;
  process.stdout.write(`${what}: ${told(best)}; at first ${told(first)}\n`);
}

for (const shards of [128, 256, 512, 1_024]) {
  const crowd = Crowd.of(shards, SERVERS);
  print(
    `take-over with ${shards} shards`,
    measured(() => crowd.takeOver()),
  );
}
for (const isTold of [true, false]) {
  const crowd = Crowd.of(1_024, SERVERS);
  print(
    `take-over with 1024 shards that share a round, ${isTold ? 'known' : 'not known'} to be committed`,
    measured(() => {
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
    measured(() => {
      crowd.measure();
      for (let tick = 0; tick < 1_000; tick += 1) crowd.tick();
      return crowd.cost;
    }),
  );
}
