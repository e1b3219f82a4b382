/** The verbs of a shard-node, from the bytes of a request to those of its answer. */
import { ShardlineError } from '#common/contracts/errors';
import { shareRounds } from '#common/contracts/shared-rounds';
import type { NodeVerb } from '#common/contracts/subjects';
import { readLines, readMessage } from '#common/nats/codec';
import { encodeRawLines } from '#common/nats/lines';
import { NODE_MESSAGES } from '#common/nats/node-messages';
import { jsonBytes } from '#common/nats/text';
import type { Replica } from './replica';

/** Larger answers than this would not get through the broker. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** Rejects with a ShardlineError: BAD_MESSAGE for what cannot be read, or as the replica says. */
export type Verbs = Record<NodeVerb, (data: Uint8Array) => Promise<Uint8Array>>;

export function createVerbs(replica: Replica): Verbs {
  const { apply, read, copy, config, ping, fence, catchup, digest, operation, probe } = NODE_MESSAGES;
  return {
    apply: async (data) => {
      const { header, rows } = readLines(apply.request, data);
      return encodeRawLines(await replica.apply(header, rows), '');
    },
    read: async (data) => {
      const { header, text } = await replica.read(readMessage(read.request, data));
      return fitting(encodeRawLines(header, text));
    },
    copy: async (data) => {
      const { header, text } = await replica.copy(readMessage(copy.request, data));
      return fitting(encodeRawLines(header, text));
    },
    config: async (data) => jsonBytes(shareRounds(await replica.config(readMessage(config.request, data)))),
    ping: async (data) => jsonBytes(shareRounds(await replica.ping(readMessage(ping.request, data)))),
    fence: async (data) => jsonBytes(shareRounds(await replica.fence(readMessage(fence.request, data)))),
    catchup: async (data) => jsonBytes(await replica.catchup(readMessage(catchup.request, data))),
    digest: async (data) => jsonBytes(await replica.digest(readMessage(digest.request, data))),
    probe: async (data) => jsonBytes(await replica.probe(readMessage(probe.request, data))),
    operation: async (data) => jsonBytes(await replica.operation(readMessage(operation.request, data))),
  };
}

function fitting(answer: Uint8Array): Uint8Array {
  if (answer.length <= MAX_ANSWER_BYTES) return answer;
  throw new ShardlineError('BAD_REQUEST', `the answer has ${answer.length} bytes: ask for fewer pages at once`);
}
