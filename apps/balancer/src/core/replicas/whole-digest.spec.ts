import type { ErrorBody } from '#common/contracts/errors';
import type { DigestReply, DigestRequest } from '#common/contracts/node';
import { StepContext } from '../kernel/step-context';
import type { Effect, Result } from '../kernel/effects';
import { Shard } from '../cluster/shard';
import { wholeDigest, type WholeDigest } from './whole-digest';
import { spawn } from '../kernel/workflow';

type Answer = (request: DigestRequest) => Result<DigestReply>;

const SHARD = new Shard({
  ...{ configId: 1, shard: 'sh', low: 0, size: 100, configEpoch: 1, configVersion: 1 },
  ...{ replicas: ['S0'], joining: [], inSync: ['S0'] },
});

function failure(code: ErrorBody['code']): Result<DigestReply> {
  return { ok: false, error: { code, message: 'no', retryable: true } };
}

/** Asks for the digest of a shard whose replica answers so; time passes whenever nothing else happens. */
function ask(answer: Answer): { outcome: Result<WholeDigest> | undefined; asked: (number | undefined)[] } {
  const context = new StepContext();
  const asked: (number | undefined)[] = [];
  let outcome: Result<WholeDigest> | undefined;
  spawn(wholeDigest(context, { server: 'S0', shard: SHARD, epoch: 1, vat: 7, forgottenUpTo: 0 }), (done) => {
    outcome = done;
  });
  for (let turns = 0; turns < 100 && outcome === undefined; turns += 1) {
    const effects = context
      .takeEffects()
      .filter((effect): effect is Effect & { do: 'digest' } => effect.do === 'digest');
    for (const { token, request } of effects) {
      asked.push(request.after);
      context.deliver(token, answer(request));
    }
    context.nowMs += 1_000;
    context.wakeSleepers();
  }
  return { outcome, asked };
}

/** Keys 0 to 9, three of them in a page; the hash of a key is the key. */
const paged: Answer = ({ after = -1 }) => {
  const keys = [1, 2, 3].map((step) => after + step).filter((key) => key <= 9);
  const next = keys.at(-1) === 9 ? null : (keys.at(-1) ?? null);
  const digest = String(keys.reduce((sum, key) => sum + key, 0));
  const reply = { digest, rows: keys.length, next };
  return { ok: true, value: next === null ? { ...reply, records: '77' } : reply };
};

it('adds up the pages, each asked for behind the one before', () => {
  expect(ask(paged)).toEqual({
    outcome: { ok: true, value: { digest: '45/77', rows: 10 } },
    asked: [undefined, 2, 5, 8],
  });
});

it('asks again for a page that did not come, and for no other', () => {
  let isLost = true;
  const { outcome, asked } = ask((request) => {
    if (request.after !== 5 || !isLost) return paged(request);
    isLost = false;
    return failure('OUTCOME_UNKNOWN');
  });
  expect(outcome).toMatchObject({ ok: true, value: { rows: 10 } });
  expect(asked).toEqual([undefined, 2, 5, 5, 8]);
});

it('gives up when a page does not come again and again', () => {
  const { outcome, asked } = ask((request) => (request.after === 5 ? failure('OUTCOME_UNKNOWN') : paged(request)));
  expect(outcome).toEqual(failure('OUTCOME_UNKNOWN'));
  expect(asked).toEqual([undefined, 2, 5, 5, 5]);
});

it.each(['FENCED', 'SNAPSHOT_GONE', 'UNKNOWN_SHARD', 'BAD_MESSAGE', 'BAD_REQUEST'] as const)(
  'takes %s for an answer',
  (code) => {
    const { outcome, asked } = ask(() => failure(code));
    expect(outcome).toEqual(failure(code));
    // Arrays of nothing but `undefined` are equal to `toEqual`, however long they are.
    expect(asked).toHaveLength(1);
  },
);

it('does not go round in circles with a replica that does not get on', () => {
  const { outcome } = ask(() => ({ ok: true, value: { digest: '1', rows: 1, next: 4 } }));
  expect(outcome).toMatchObject({ ok: false, error: { code: 'BAD_MESSAGE' } });
});
