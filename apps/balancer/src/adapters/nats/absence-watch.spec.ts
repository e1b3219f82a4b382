import type { NatsConnection } from '#common/nats/connection';
import { AbsenceWatch } from './absence-watch';

const info = (cluster: object): Pick<NatsConnection, 'info'> => ({
  info: cluster as NonNullable<NatsConnection['info']>,
});

describe('a server at which nobody listens', () => {
  test.each([
    ['one NATS server', {}, 50],
    ['one that knows of no other', { connect_urls: ['10.0.0.1:4222'] }, 50],
    ['a cluster of them', { cluster: 'shardline' }, 2_000],
    ['one that knows of others', { connect_urls: ['10.0.0.1:4222', '10.0.0.2:4222'] }, 2_000],
  ])('is gone when that has been so for long enough: with %s', (_, kind, patienceMs) => {
    const watch = new AbsenceWatch(info(kind));
    for (let ms = 0; ms < patienceMs; ms += 25) expect(watch.missing('S0', 1_000 + ms)).toBeNull();
    expect(watch.missing('S0', 1_000 + patienceMs)).toBe(1_000);
    expect(watch.missing('S1', 1_000 + patienceMs)).toBeNull();
  });

  test('is not, when somebody was heard there meanwhile, or it was not looked for long', () => {
    const watch = new AbsenceWatch(info({}));
    watch.missing('S0', 0);
    watch.present('S0');
    expect(watch.missing('S0', 60)).toBeNull();
    expect(watch.missing('S0', 10_000)).toBeNull();
    expect(watch.missing('S0', 10_060)).toBe(10_000);
  });
});
