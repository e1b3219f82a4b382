import fc from 'fast-check';
import { z } from 'zod';
import { COMMON_SETTINGS, ConfigError, parseEnv, setting } from './env';

const SHAPE = z.object({
  ...COMMON_SETTINGS,
  PORT: setting.int(5000, 0, 65_535),
  EPSILON: setting.number(0.25, 0, 10),
  NAME: setting.text('gateway'),
  ALLOW_REINIT: setting.flag(false),
  RING_HASH: setting.choice(['quadratic', 'md5', 'xxhash'], 'quadratic'),
});

function fault(env: NodeJS.ProcessEnv): string {
  try {
    parseEnv(SHAPE, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return '';
}

describe('parseEnv', () => {
  it('gives every setting its default when nothing is set, and takes an empty variable for one that is not set', () => {
    const defaults = {
      NATS_URL: ['nats://127.0.0.1:4222'],
      LOG_LEVEL: 'info',
      PORT: 5000,
      EPSILON: 0.25,
      NAME: 'gateway',
      ALLOW_REINIT: false,
      RING_HASH: 'quadratic',
    };
    expect(parseEnv(SHAPE, {})).toEqual(defaults);
    const empty = Object.fromEntries([...Object.keys(defaults), 'LIFELINE_FD'].map((name) => [name, '']));
    expect(parseEnv(SHAPE, empty)).toEqual(defaults);
    expect(parseEnv(SHAPE, { PORT: '  ', NAME: ' ' })).toEqual(defaults);
  });

  it.each<[string, string, unknown]>([
    ['PORT', '0', 0],
    ['PORT', '65535', 65_535],
    ['EPSILON', '0.5', 0.5],
    ['NAME', 'x', 'x'],
    ['ALLOW_REINIT', 'true', true],
    ['ALLOW_REINIT', '1', true],
    ['ALLOW_REINIT', 'false', false],
    ['ALLOW_REINIT', '0', false],
    ['RING_HASH', 'md5', 'md5'],
    ['NATS_URL', 'nats://a:1', ['nats://a:1']],
    ['NATS_URL', ' nats://a:1 , nats://b:2,', ['nats://a:1', 'nats://b:2']],
    ['LIFELINE_FD', '3', '3'],
  ])('reads %s=%s', (name, value, expected) => {
    expect(parseEnv(SHAPE, { [name]: value })).toMatchObject({ [name]: expected });
  });

  it.each<[string, string]>([
    ['PORT', '-1'],
    ['PORT', '65536'],
    ['PORT', '1.5'],
    ['PORT', 'http'],
    ['PORT', '5000;'],
    ['PORT', 'Infinity'],
    ['EPSILON', '-0.1'],
    ['EPSILON', 'NaN'],
    ['ALLOW_REINIT', 'yes'],
    ['ALLOW_REINIT', 'TRUE'],
    ['RING_HASH', 'sha1'],
    ['LOG_LEVEL', 'loud'],
    ['NATS_URL', ' , '],
  ])('refuses %s=%s and says which, what and why', (name, value) => {
    const message = fault({ [name]: value });
    expect(message).toMatch(new RegExp(`^wrong configuration: ${name} is ${JSON.stringify(value)}: .+`));
  });

  it('names a variable that has no default and is not set', () => {
    const shape = z.object({ SERVER_NAME: z.string() });
    expect(() => parseEnv(shape, { SERVER_NAME: '' })).toThrow(/SERVER_NAME is not set/);
  });

  it('names every wrong variable at once', () => {
    const message = fault({ PORT: 'x', RING_HASH: 'y', EPSILON: '1' });
    expect(message).toContain('PORT');
    expect(message).toContain('RING_HASH');
    expect(message).not.toContain('EPSILON');
  });

  it('reports a relation that does not hold', () => {
    const shape = z.object({ A: setting.int(1, 0, 9), B: setting.int(2, 0, 9) }).refine(({ A, B }) => A < B, {
      message: 'A must be below B',
    });
    expect(() => parseEnv(shape, { A: '5' })).toThrow(new ConfigError('wrong configuration: A must be below B'));
  });

  it('leaves out variables that are not its business', () => {
    expect(parseEnv(z.object({ NAME: setting.text('n') }), { NAME: 'm', PATH: '/bin' })).toEqual({ NAME: 'm' });
  });

  it('either parses or throws a ConfigError of one line, whatever is in the environment', () => {
    const names = fc.constantFrom(...Object.keys(SHAPE.shape));
    fc.assert(
      fc.property(fc.dictionary(names, fc.string()), (env) => {
        expect(fault(env)).not.toContain('\n');
      }),
    );
  });
});
