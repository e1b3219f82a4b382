import { documentedBounds } from '../testing/documented-bounds';
import { parseShardNodeConfig } from './shard-node-config';

it('needs a name only', () => {
  const config = parseShardNodeConfig({ SERVER_NAME: 'Server[5]' });
  expect(config).toMatchObject({ SERVER_NAME: 'Server[5]', POOL_SIZE: 4, PAGE_BYTES: 524_288 });
  expect(config.DATABASE_URL).toBeUndefined();
  expect(config.DATA_DIR).toBe('.shardline/servers/Server[5]');
});

it.each([
  [{}, /SERVER_NAME is not set/],
  [{ SERVER_NAME: '../x' }, /SERVER_NAME is "\.\.\/x"/],
  [{ SERVER_NAME: 'a b' }, /SERVER_NAME/],
  [{ SERVER_NAME: 'a', POOL_SIZE: '0' }, /POOL_SIZE is "0"/],
  [{ SERVER_NAME: 'a', PAGE_BYTES: 'many' }, /PAGE_BYTES is "many"/],
  [{ SERVER_NAME: 'a', DATABASE_URL: 'mysql://x' }, /DATABASE_URL is "mysql:\/\/x"/],
])('refuses %j with one line', (env, line) => {
  const parse = (): unknown => parseShardNodeConfig(env);
  expect(parse).toThrow(line);
  expect(parse).not.toThrow(/\n/);
});

it.each(documentedBounds('Shard-node'))('takes $name from $min to $max, and nothing beyond', ({ name, min, max }) => {
  const parse = (value: number) => (): unknown => parseShardNodeConfig({ SERVER_NAME: 'a', [name]: String(value) });
  for (const value of [min, max]) expect(parse(value)).not.toThrow();
  for (const value of [min - 1, max + 1]) expect(parse(value)).toThrow(`${name} is "${value}"`);
});
