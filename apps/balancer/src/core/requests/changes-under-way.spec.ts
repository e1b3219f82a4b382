import type { ErrorBody } from '#common/contracts/errors';
import { ChangesUnderWay } from './changes-under-way';
import { NOBODY_KNOWS, unavailable } from './refusals';

const NOTHING_CHANGED = unavailable(['a']);
const REFUSED: ErrorBody = { code: 'KEY_EXISTS', message: 'a record with the key 1 exists', retryable: false };

let changes: ChangesUnderWay;
beforeEach(() => {
  changes = new ChangesUnderWay();
});

describe('that nothing was changed', () => {
  it('is said of a change that comes once, and of one without an id', () => {
    changes.begin('x');
    expect(changes.fail('x', NOTHING_CHANGED)).toEqual(NOTHING_CHANGED);
    changes.begin(undefined);
    changes.begin(undefined);
    expect(changes.fail(undefined, NOTHING_CHANGED)).toEqual(NOTHING_CHANGED);
    changes.fail(undefined, NOBODY_KNOWS);
    expect(changes.fail(undefined, NOTHING_CHANGED)).toEqual(NOTHING_CHANGED);
  });

  it('is not said as long as the same change is under way once more, whichever came first, but of others', () => {
    for (const id of ['x', 'x', 'y']) changes.begin(id);
    expect(changes.errorFor('x', NOTHING_CHANGED)).toEqual(NOBODY_KNOWS);
    expect(changes.fail('y', NOTHING_CHANGED)).toEqual(NOTHING_CHANGED);
    changes.end('x');
    expect(changes.errorFor('x', NOTHING_CHANGED)).toEqual(NOBODY_KNOWS);
    changes.end('x');
    expect(changes.errorFor('x', NOTHING_CHANGED)).toEqual(NOTHING_CHANGED);
  });

  it('is not said any more when nobody knows what became of one of them', () => {
    for (const id of ['x', 'x']) changes.begin(id);
    expect(changes.fail('x', NOTHING_CHANGED)).toEqual(NOBODY_KNOWS);
    expect(changes.fail('x', NOTHING_CHANGED)).toEqual(NOBODY_KNOWS);
    changes.begin('x');
    changes.end('x');
    expect(changes.errorFor('x', NOTHING_CHANGED)).toEqual(NOBODY_KNOWS);
  });

  it('is not what an error says that does not pass: that is answered as it is, and leaves no doubt', () => {
    for (const id of ['x', 'x']) changes.begin(id);
    expect(changes.fail('x', REFUSED)).toEqual(REFUSED);
    expect(changes.fail('x', NOTHING_CHANGED)).toEqual(NOTHING_CHANGED);
  });
});

it('only the latest 10,000 changes are remembered of which nobody knows what became', () => {
  const doubt = (id: string): void => {
    changes.begin(id);
    changes.fail(id, NOBODY_KNOWS);
  };
  for (let id = 0; id < 10_000; id += 1) doubt(`${id}`);
  doubt('0');
  expect(changes.errorFor('1', NOTHING_CHANGED)).toEqual(NOBODY_KNOWS);
  doubt('another');
  expect(changes.errorFor('1', NOTHING_CHANGED)).toEqual(NOTHING_CHANGED);
  for (const id of ['0', '2', 'another']) expect(changes.errorFor(id, NOTHING_CHANGED)).toEqual(NOBODY_KNOWS);
});
