import { containerEnvironment } from './environment';

it('a container gets the settings of a shard-node, and nothing that means something on our machine only', () => {
  const settings = { LOG_LEVEL: 'debug', POOL_SIZE: '7', PAGE_BYTES: '2048' };
  const others = {
    PATH: '/bin',
    HOME: '/root',
    SECRET: 'x',
    DATABASE_URL: 'postgres://x/y',
    LIFELINE_FD: '3',
    PORT: '5000',
  };
  const places = { DATA_DIR: '/here', PID_FILE: '/here/pid', SERVER_NAME: 'other', NATS_URL: 'nats://127.0.0.1:4222' };
  expect(containerEnvironment({ ...settings, ...others, ...places })).toEqual(settings);
});
