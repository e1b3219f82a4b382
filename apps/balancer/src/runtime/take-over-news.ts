/** Announces to the gateways, and in the log, what a balancer that is about to lead waits for: until it leads it answers nobody. */
import type { NatsConnection } from 'nats';
import type { TakeOverNews } from '#common/contracts/commands';
import { TAKE_OVER_SUBJECT } from '#common/contracts/subjects';
import type { Logger } from '#common/logging/logger';

/** Most take-overs are over sooner, and nothing is said. */
const INTERVAL_MS = 1_000;

/**
 * Looks every second whether somebody is waited for.
 *
 * @param awaited null when nobody is
 * @returns a function that ends it
 */
export function announceAwaited(nats: NatsConnection, logger: Logger, awaited: () => TakeOverNews | null): () => void {
  let announced = '';
  const timer = setInterval(() => {
    const news = awaited();
    if (news === null || nats.isClosed()) return;
    nats.publish(TAKE_OVER_SUBJECT, JSON.stringify(news));
    const waitingFor = news.waitingFor.join(', ');
    if (waitingFor !== announced) logger.warn({ waitingFor }, `before it leads it waits for ${waitingFor}`);
    announced = waitingFor;
  }, INTERVAL_MS);
  return () => {
    clearInterval(timer);
  };
}
