import type { FastifyReply, FastifyRequest } from 'fastify';
import { ShardlineError, type ErrorCode } from '#common/contracts/errors';
import { ChangeRequests } from './change-requests';
import { HttpFailure, httpFailureOf } from './error-status';

/** What a client is answered of a change that failed so, after an attempt that may still arrive or not. */
async function answerTo(code: ErrorCode, inDoubt: boolean): Promise<HttpFailure> {
  const request = { headers: { 'idempotency-key': 'mine' } } as unknown as FastifyRequest;
  const reply = { header: () => undefined } as unknown as FastifyReply;
  const failed = new ChangeRequests().carryOut(request, reply, (operation) => {
    operation.inDoubt = inDoubt;
    return Promise.reject(new ShardlineError(code, 'this went wrong'));
  });
  const thrown: unknown = await failed.catch((error: unknown) => error);
  return thrown instanceof HttpFailure ? thrown : httpFailureOf(thrown as ShardlineError);
}

const STORED = [
  ['KEY_EXISTS', 409],
  ['KEY_NOT_FOUND', 404],
  ['ID_REUSED', 422],
] as const;
const NOT_STORED = [
  ['KEY_OUT_OF_RANGE', 400],
  ['BAD_REQUEST', 400],
  ['NOT_CONFIGURED', 409],
  ['SHARD_UNAVAILABLE', 503],
  ['NO_LEADER', 503],
  ['INTERNAL', 500],
] as const;

test.each([...STORED, ...NOT_STORED])('the only attempt ended with %s: that is what happened', async (code, status) => {
  expect((await answerTo(code, false)).status).toBe(status);
});

test.each(STORED)('%s is stored with the id, so that it holds for an earlier attempt, too', async (code, status) => {
  expect((await answerTo(code, true)).status).toBe(status);
});

test.each(NOT_STORED)(
  'an attempt ended with %s while an earlier one may still be carried out: nobody hears that nothing happened',
  async (code) => {
    const { status, message } = await answerTo(code, true);
    expect(status).toBe(504);
    expect(message).toMatch(/may or may not have been done; GET \/operations\/mine has the outcome/);
  },
);

test.each([false, true])('no answer in time leaves it open, in doubt before or not (%s)', async (inDoubt) => {
  expect((await answerTo('OUTCOME_UNKNOWN', inDoubt)).status).toBe(504);
});
