import fc from 'fast-check';
import { FINGERPRINT_PATTERN, OPERATION_PATTERN } from '#common/contracts/commands';
import { Operation, OperationIds } from './operations';

/** A day's clock that may stand still or go back. */
const clocks = fc.array(fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_050 }), {
  minLength: 2,
  maxLength: 300,
});

test('ids are short, valid, different and in the order in which they were made, whatever the clock does', () => {
  fc.assert(
    fc.property(clocks, (times) => {
      let at = 0;
      const ids = new OperationIds(() => times[at++] ?? 0);
      const made = times.map(() => ids.next());
      expect(made).toEqual([...new Set(made)].sort());
      for (const id of made) expect(id).toMatch(OPERATION_PATTERN);
      expect(Math.max(...made.map((id) => id.length))).toBeLessThan(24);
    }),
  );
});

test('more ids in a millisecond than can be counted go on in the next', () => {
  const ids = new OperationIds(() => 1);
  let last = '';
  for (let made = 0; made < 36 ** 4 + 2; made += 1) {
    const id = ids.next();
    if (id <= last) throw new Error(`${id} does not come behind ${last}`);
    last = id;
  }
});

test('two gateways, or one before and after its restart, make no id twice', () => {
  const makers = Array.from({ length: 50 }, () => new OperationIds(() => 1));
  expect(new Set(makers.map((ids) => ids.next())).size).toBe(50);
});

test('a fingerprint distinguishes requests, and only where the client chose the id', () => {
  const own = new Operation('a', true, 0);
  const fingerprint = own.fingerprint('write', ['error', '[1]', '{"id":1}']);
  expect(fingerprint).toMatch(FINGERPRINT_PATTERN);
  expect(own.fingerprint('write', ['error', '[1]', '{"id":1}'])).toBe(fingerprint);
  for (const other of [
    ['update', 'error', '[1]', '{"id":1}'],
    ['write', 'ignore', '[1]', '{"id":1}'],
    ['write', 'error', '[2]', '{"id":1}'],
    ['write', 'error', '[1]', '{"id":2}'],
    ['write', 'error', '[1]', '{"id":1', '}'],
  ]) {
    const [kind, ...asked] = other;
    expect(own.fingerprint(kind!, asked)).not.toBe(fingerprint);
  }
  expect(new Operation('a', false, 0).fingerprint('write', ['error'])).toBeUndefined();
});

test('a fingerprint is what it was in every version, since replicas keep it', () => {
  expect(new Operation('a', true, 0).fingerprint('write', ['error', '[1]', '{"id":1}'])).toBe('nTljvmSY6PTCWfA6tldpIU');
});

test('a request may be of as many parts as its body holds', () => {
  const rows = Array.from({ length: 500_000 }, (_, index) => `{"id":${index}}`);
  expect(new Operation('a', true, 0).fingerprint('write', rows)).toMatch(FINGERPRINT_PATTERN);
});

test('what may have been done under one configuration is not asked for under the next', () => {
  const doubtful = new Operation('a', false, 0);
  doubtful.sendUnder(1);
  doubtful.inDoubt = true;
  doubtful.sendUnder(1);
  expect(() => {
    doubtful.sendUnder(2);
  }).toThrow(expect.objectContaining({ code: 'OUTCOME_UNKNOWN' }));
  const certain = new Operation('b', false, 0);
  certain.sendUnder(1);
  certain.sendUnder(2);
});
