/** The gateway as a process: HTTP in, NATS out. */
import { configWarnings, parseGatewayConfig } from '#common/config/gateway-config';
import { runService } from '#common/process/service';
import { Gateway } from './src/runtime/gateway';

runService({
  name: 'gateway',
  parse: parseGatewayConfig,
  warnings: configWarnings,
  start: async (config, logger) => {
    const gateway = await Gateway.start(config, logger);
    return { started: { message: 'serving', data: { url: gateway.url } }, stop: () => gateway.stop() };
  },
});
