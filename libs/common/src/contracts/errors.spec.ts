import fc from 'fast-check';
import { ERROR_CODES, ShardlineError, type ErrorBody } from './errors';

const body = fc.record<ErrorBody>({
  code: fc.constantFrom(...ERROR_CODES),
  message: fc.string(),
  retryable: fc.boolean(),
});

describe('error codes', () => {
  it('are all different and spelled alike', () => {
    expect(new Set(ERROR_CODES).size).toBe(ERROR_CODES.length);
    for (const code of ERROR_CODES) expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
  });
});

describe('ShardlineError', () => {
  it('arrives as it was sent', () => {
    fc.assert(
      fc.property(body, (sent) => {
        const wire = JSON.stringify(ShardlineError.fromBody(sent).toBody());
        expect(ShardlineError.fromBody(JSON.parse(wire) as ErrorBody).toBody()).toEqual(sent);
      }),
    );
  });

  it('is an Error that says its message, and is not retryable unless given so', () => {
    const error = new ShardlineError('BUSY', 'too much');
    expect(error).toBeInstanceOf(Error);
    expect([error.name, error.message, error.retryable]).toEqual(['ShardlineError', 'too much', false]);
  });

  it('sends neither stack nor cause', () => {
    const error = new ShardlineError('STORE_FAILED', 'no room', true, { cause: new Error('ENOSPC at /var/lib') });
    expect(Object.keys(error.toBody()).sort()).toEqual(['code', 'message', 'retryable']);
  });

  it('stays itself, whatever code it would have been given', () => {
    const error = new ShardlineError('KEY_EXISTS', 'there');
    expect(ShardlineError.from(error, 'INTERNAL', true)).toBe(error);
  });

  it.each<[string, unknown, string]>([
    ['an Error', new TypeError('x is undefined'), 'x is undefined'],
    ['a text', 'gone', 'gone'],
    ['nothing', undefined, 'undefined'],
  ])('is made of %s, which stays its cause', (_, thrown, message) => {
    const error = ShardlineError.from(thrown, 'STORE_FAILED', true);
    expect(error.toBody()).toEqual({ code: 'STORE_FAILED', message, retryable: true });
    expect(error.cause).toBe(thrown);
  });

  it('is INTERNAL and not retryable where nobody knows better', () => {
    expect(ShardlineError.from(new Error('?')).toBody()).toEqual({ code: 'INTERNAL', message: '?', retryable: false });
  });
});
