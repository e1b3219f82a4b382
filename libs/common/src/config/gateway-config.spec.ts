import { documentedBounds } from '../testing/documented-bounds';
import { ConfigError } from './env';
import { checkBodyLimit, configWarnings, parseGatewayConfig } from './gateway-config';

test('without any setting it serves the published port of this machine alone', () => {
  expect(parseGatewayConfig({})).toMatchObject({ PORT: 5000, HOST: '127.0.0.1', BODY_LIMIT: 4194304, HOLD_MS: 10000 });
});

test.each([
  ['PORT', '70000'],
  ['PORT', 'abc'],
  ['BODY_LIMIT', '0'],
  ['WRITE_ON_CONFLICT', 'maybe'],
  ['ALLOW_REINIT', 'yes'],
  ['HOLD_MS', '-1'],
  ['NATS_URL', ','],
])('%s=%s is refused in one line that names it', (name, value) => {
  expect(() => parseGatewayConfig({ [name]: value })).toThrow(ConfigError);
  expect(() => parseGatewayConfig({ [name]: value })).toThrow(new RegExp(`^.*${name}.*$`));
});

test('a body must fit into what may be under way', () => {
  expect(() => parseGatewayConfig({ BODY_LIMIT: '8388608', MAX_BYTES_UNDER_WAY: '4194304' })).toThrow(ConfigError);
});

test('a body must fit into a message of the broker, with its header', () => {
  expect(() => {
    checkBodyLimit(4_194_304, 8_388_608);
  }).not.toThrow();
  expect(() => {
    checkBodyLimit(4_194_304, 4_194_304);
  }).toThrow(/BODY_LIMIT .* max_payload/);
});

test.each([
  [{}, 0],
  [{ HOLD_MS: '5999' }, 1],
  [{ HOLD_MS: '6000' }, 0],
  [{ HOLD_MS: '0' }, 0],
  [{ LEASE_MS: '6000' }, 1],
])('%j raises %d warnings', (env, warnings) => {
  expect(configWarnings(parseGatewayConfig(env))).toHaveLength(warnings);
});

test('a change must be known for longer than it may be sent again', () => {
  expect(() => parseGatewayConfig({ OPERATION_HORIZON_S: '29' })).toThrow(/carried out twice/);
  expect(parseGatewayConfig({ OPERATION_HORIZON_S: '30' }).OPERATION_HORIZON_S).toBe(30);
  expect(() => parseGatewayConfig({ HOLD_MS: '600000' })).toThrow(/carried out twice/);
});

/** What must be set as well so that a setting may stand at its bound. */
const BESIDE: Record<string, Record<string, string>> = {
  BODY_LIMIT: { MAX_BYTES_UNDER_WAY: '4294967296' },
  MAX_BYTES_UNDER_WAY: { BODY_LIMIT: '1024' },
  HOLD_MS: { OPERATION_HORIZON_S: '2592000' },
  REQUEST_TIMEOUT_MS: { OPERATION_HORIZON_S: '2592000' },
  OPERATION_HORIZON_S: { HOLD_MS: '0', REQUEST_TIMEOUT_MS: '100' },
};

test.each(documentedBounds('Gateway'))('takes $name from $min to $max, and nothing beyond', ({ name, min, max }) => {
  const parse = (value: number) => (): unknown => parseGatewayConfig({ ...BESIDE[name], [name]: String(value) });
  for (const value of [min, max]) expect(parse(value)).not.toThrow();
  for (const value of [min - 1, max + 1]) expect(parse(value)).toThrow(`${name} is "${value}"`);
});
