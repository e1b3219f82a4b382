import type { ApplyReply, ApplyRequest } from '#common/contracts/node';
import { SCHEMA, shardState, UNINFORMED } from '../../test/support/builders';
import type { ReplicaState, ShardState } from './replica-state';
import { answerAgain, type AnsweredMessage } from './repeated-message';

function message(rounds: [number, ...string[]][], epoch = 4): ApplyRequest {
  return {
    epoch,
    rounds: rounds.map(([round, ...shards]) => ({
      round,
      lastTerms: {},
      parts: shards.map((shard) => ({ shard, vat: 0, firstTerm: 1, lastTerm: 2, ops: [] })),
    })),
  };
}

function newest(epoch: number, round: number, changed: Partial<ShardState> = {}): Partial<ShardState> {
  return { newestRound: { epoch, round, lastTerms: {}, refused: false }, ...changed };
}

function replica(shards: Record<string, Partial<ShardState>>): ReplicaState {
  const held = Object.entries(shards).map(([id, changed]): [string, ShardState] => [id, shardState(id, changed)]);
  return { server: 'Server0', epoch: 4, configId: 1, schema: SCHEMA, ...UNINFORMED, shards: new Map(held) };
}

const REPLY: ApplyReply = { parts: [] } as unknown as ApplyReply;
const ASKED = message([
  [7, 'a', 'b'],
  [8, 'b'],
]);
const ANSWERED: AnsweredMessage = { request: ASKED, reply: REPLY };
const STATE = replica({ a: newest(4, 7), b: newest(4, 8) });

it('is answered as the first time while its rounds are the newest of all their shards', () => {
  expect(
    answerAgain(
      STATE,
      ANSWERED,
      message([
        [7, 'a', 'b'],
        [8, 'b'],
      ]),
    ),
  ).toBe(REPLY);
});

it.each<[string, ReplicaState, AnsweredMessage | null, ApplyRequest]>([
  ['nothing was answered yet', STATE, null, ASKED],
  [
    'another epoch sends it',
    STATE,
    ANSWERED,
    message(
      [
        [7, 'a', 'b'],
        [8, 'b'],
      ],
      5,
    ),
  ],
  ['what was answered is of another epoch', STATE, { request: { ...ASKED, epoch: 3 }, reply: REPLY }, ASKED],
  ['it has fewer rounds', STATE, ANSWERED, message([[7, 'a', 'b']])],
  [
    'it has more rounds',
    STATE,
    { request: message([[7, 'a']]), reply: REPLY },
    message([
      [7, 'a'],
      [8, 'b'],
    ]),
  ],
  [
    'its last round is another one',
    replica({ a: newest(4, 7), b: newest(4, 9) }),
    ANSWERED,
    message([
      [7, 'a', 'b'],
      [9, 'b'],
    ]),
  ],
  [
    'its first round is another one',
    replica({ a: newest(4, 6), b: newest(4, 8) }),
    ANSWERED,
    message([
      [6, 'a', 'b'],
      [8, 'b'],
    ]),
  ],
  ['a newer round has come', replica({ a: newest(4, 7), b: newest(4, 9) }), ANSWERED, ASKED],
  ['another leader has been there', replica({ a: newest(4, 7), b: newest(5, 8) }), ANSWERED, ASKED],
  ['what it did was undone', replica({ a: newest(4, 7), b: { newestRound: null } }), ANSWERED, ASKED],
  ['a shard is gone', replica({ a: newest(4, 7) }), ANSWERED, ASKED],
  [
    'a shard is being copied',
    replica({ a: newest(4, 7), b: newest(4, 8, { catchUp: { from: 0, to: 9, source: 'Server1', after: null } }) }),
    ANSWERED,
    ASKED,
  ],
])('is not known again when %s', (_name, state, answered, request) => {
  expect(answerAgain(state, answered, request)).toBeNull();
});
