import { ShardlineError, type ErrorCode } from '#common/contracts/errors';
import { Operation } from '../../bus/operations';
import { asAbsent } from './absent-key';

/** As what a change of the key 7 fails that was answered so, after an attempt that may still arrive or not. */
function failing(code: ErrorCode, inDoubt: boolean): ShardlineError {
  const operation = new Operation('a', false, 0);
  operation.inDoubt = inDoubt;
  try {
    return asAbsent(operation, 'id', 7)(new ShardlineError(code, 'from the leader'));
  } catch (thrown) {
    return thrown as ShardlineError;
  }
}

test.each([
  ['KEY_NOT_FOUND', false],
  ['KEY_NOT_FOUND', true],
  ['KEY_OUT_OF_RANGE', false],
] as const)('%s says that the row is absent (an earlier attempt may still arrive: %s)', (code, inDoubt) => {
  expect(failing(code, inDoubt)).toMatchObject({ code: 'KEY_NOT_FOUND', message: 'no data entry with id 7 exists' });
});

test('a key in no shard does not say so where an earlier attempt may find that the shard has been added', () => {
  expect(failing('KEY_OUT_OF_RANGE', true)).toMatchObject({ code: 'KEY_OUT_OF_RANGE', message: 'from the leader' });
});

test('another failure stays what it is', () => {
  expect(failing('BUSY', false)).toMatchObject({ code: 'BUSY', message: 'from the leader' });
});
