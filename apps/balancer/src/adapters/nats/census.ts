/** The broadcast to every shard-node, and whoever answers it. */
import type { CensusReply } from '#common/contracts/node';
import { CENSUS_SUBJECT } from '#common/contracts/subjects';
import { readMessage } from '#common/nats/codec';
import type { NatsConnection } from '#common/nats/connection';
import { CENSUS_REPLY } from '#common/nats/node-messages';

/** How long answers are waited for; nodes answer from memory. */
const WINDOW_MS = 100;
/** Answers that are taken at the most. */
const LIMIT = 4096;

/** @throws Error when the connection is closed */
export async function takeCensus(nats: NatsConnection): Promise<CensusReply[]> {
  const answers = await nats.requestMany(CENSUS_SUBJECT, new Uint8Array(0), {
    maxWait: WINDOW_MS,
    maxMessages: LIMIT,
  });
  const replies: CensusReply[] = [];
  try {
    for await (const answer of answers) {
      if (answer instanceof Error) break;
      // Nobody listens: the broker says so with an empty message.
      const reply = answer.data.length > 0 ? readable(answer.data) : null;
      if (reply !== null) replies.push(reply);
    }
  } catch {
    // Nobody listens, or the connection is lost: what has come is what there is.
  }
  return replies;
}

/** Who cannot be understood must not keep the others from being heard. */
function readable(data: Uint8Array): CensusReply | null {
  try {
    return readMessage(CENSUS_REPLY, data);
  } catch {
    return null;
  }
}
