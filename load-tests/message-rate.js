/**
 * How long a message's check takes: by the compiled validator that the services use, by zod alone, and the reading of its JSON beside.
 *
 *     npm run build && node load-tests/message-rate.js
 */
'use strict';

const { NODE_MESSAGES } = require('../dist/libs/common/src/nats/node-messages.js');

const ROUNDS = 200_000;

const apply = (ops) => ({
  epoch: 3,
  rounds: [{ round: 7, lastTerms: { a: 12 }, parts: [part(ops)] }],
});
const part = (ops) => ({
  ...{ shard: 'a', vat: 9, forgottenUpTo: 2, firstTerm: 10, lastTerm: 9 + ops },
  ops: Array.from({ length: ops }, (_, index) => ({
    ...{ op: 'create', onConflict: 'error', keys: [index * 77], id: `0mabcdefg0000abcdefgh${index}` },
  })),
});
const read = (reads) => ({
  epoch: 3,
  reads: Array.from({ length: reads }, (_, index) => ({ shard: 'a', vat: 8, low: index, high: index })),
  maxBytes: 524_288,
});
const page = (next) => ({ pages: [{ count: 100, next }] });

const CASES = [
  ...[1, 10, 100].map((ops) => [`apply, ${ops} ops`, NODE_MESSAGES.apply.request, apply(ops)]),
  ...[1, 10, 100].map((reads) => [`read, ${reads} keys`, NODE_MESSAGES.read.request, read(reads)]),
  ['page of a range', NODE_MESSAGES.read.reply, page(101)],
];

for (const [name, message, value] of CASES) {
  const text = JSON.stringify(value);
  const rounds = Math.ceil(ROUNDS / (value.rounds?.[0].parts[0].ops.length ?? value.reads?.length ?? 1));
  const compiled = microseconds(rounds, () => message.accepts(value));
  const byZod = microseconds(rounds, () => message.shape.safeParse(value));
  const json = microseconds(rounds, () => JSON.parse(text));
  console.log(`${name}: compiled ${compiled} µs, zod ${byZod} µs, JSON.parse ${json} µs`);
}

/** CPU time of one call. */
function microseconds(rounds, work) {
  for (let round = 0; round < rounds / 4; round += 1) work();
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / rounds).toFixed(2);
}
