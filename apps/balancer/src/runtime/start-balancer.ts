/** Starts the balancer: connects, stands by, and listens for commands once it leads. */
import { NestFactory } from '@nestjs/core';
import { NestLogger, type Logger } from '#common/logging/logger';
import { connectNats } from '#common/nats/connection';
import { DrainingNatsServer } from '#common/nats/draining-nats-server';
import { nestNatsOptions } from '#common/nats/nest-transport';
import type { Lifeline } from '#common/process/lifeline';
import type { RunningService } from '#common/process/service';
import { WorkInFlight } from '#common/process/work-in-flight';
import type { BalancerConfig } from '#common/config/balancer-config';
import { BalancerModule } from './balancer.module';
import { BalancerService } from './balancer.service';
import { announceAwaited } from './take-over-news';

/** Resolves when it stands by. */
export async function startBalancer(
  config: BalancerConfig,
  logger: Logger,
  lifeline: Lifeline,
): Promise<RunningService> {
  const nats = await connectNats(config.NATS_URL, config.BALANCER_ID);
  const work = new WorkInFlight();
  const module = await BalancerModule.create({ config, logger, nats, work, lifelineFd: lifeline.fd });
  const { options: natsOptions } = nestNatsOptions(config.NATS_URL, `${config.BALANCER_ID}-commands`);
  const strategy = new DrainingNatsServer(natsOptions ?? {}, work);
  const options = { ...{ strategy }, logger: new NestLogger(logger), abortOnError: false };
  const app = await NestFactory.createMicroservice(module, options);
  const balancer = app.get(BalancerService);
  const stopAnnouncing = announceAwaited(nats, logger, () => balancer.awaited());
  const stop = async (): Promise<void> => {
    stopAnnouncing();
    await strategy.finish();
    await balancer.stop();
    await app.close();
    await nats.drain();
  };
  const serve = (): void => {
    app.listen().then(
      () => {
        logger.info({ epoch: balancer.epoch }, 'LEADING');
      },
      (error: unknown) => {
        logger.fatal({ err: error }, 'cannot listen for commands');
        process.exit(1);
      },
    );
  };
  const stepDown = (why: string): void => {
    // Nothing that is under way may be answered any more: the quickest end is the safest.
    logger.fatal({ why }, 'no longer leading');
    process.exit(1);
  };
  await strategy.prepare();
  balancer.standBy(serve, stepDown);
  return { started: { message: 'STANDING BY', data: { leaseMs: config.LEASE_MS } }, stop };
}
