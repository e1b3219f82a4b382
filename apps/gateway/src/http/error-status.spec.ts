import { ERROR_CODES, ShardlineError } from '#common/contracts/errors';
import { failureBody, httpFailureOf, STATUS_OF_CODE } from './error-status';

test('only our own defects are 500', () => {
  expect(ERROR_CODES.filter((code) => STATUS_OF_CODE[code] === 500)).toEqual(['INTERNAL']);
  expect(ERROR_CODES.filter((code) => ![400, 404, 409, 422, 500, 503, 504].includes(STATUS_OF_CODE[code]))).toEqual([]);
});

test('every 503 says when to ask again, and nothing else does', () => {
  for (const code of ERROR_CODES) {
    const { status, headers } = httpFailureOf(new ShardlineError(code, 'x'));
    expect(Number(headers['retry-after']) > 0).toBe(status === 503);
  }
});

test('a message says what to do, once', () => {
  expect(httpFailureOf(new ShardlineError('NOT_CONFIGURED', 'no configuration')).message).toBe(
    'no configuration: POST /init first',
  );
  expect(httpFailureOf(new ShardlineError('NOT_CONFIGURED', 'none yet, POST /init first')).message).toBe(
    'none yet, POST /init first',
  );
  expect(
    httpFailureOf(new ShardlineError('SHARD_UNAVAILABLE', 'S1 does not answer: nothing was changed')).message,
  ).toBe('S1 does not answer: nothing was changed; ask again in a moment');
  expect(httpFailureOf(new ShardlineError('BUSY', 'too busy to take more: ask again in a moment')).message).toBe(
    'too busy to take more: ask again in a moment; nothing was changed',
  );
});

test('every failure has the one form', () => {
  expect(JSON.parse(failureBody('wrong'))).toEqual({ message: '<Error> wrong', status: 'failure' });
  expect(JSON.parse(failureBody('<Error> "wrong"'))).toEqual({ message: '<Error> "wrong"', status: 'failure' });
});
