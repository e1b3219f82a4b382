/** The gateway as a process: HTTP in, NATS out. */
import { createLogger } from '#common/logging/logger';
import { runService, stopOnSignals } from '#common/process/service';
import { parseGatewayConfig } from '#common/config/gateway-config';
import { Gateway } from './src/runtime/gateway';

runService(async (lifeline) => {
  const config = parseGatewayConfig(process.env);
  const logger = createLogger('gateway', config.LOG_LEVEL);
  const starting = Gateway.start(config, logger);
  // A stop may come while NATS is still being waited for; there is nothing to finish then.
  let gateway: Gateway | null = null;
  stopOnSignals(logger, lifeline, async () => {
    await gateway?.stop();
  });
  gateway = await starting;
});
