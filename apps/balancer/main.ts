/** The balancer as a process. */
import 'reflect-metadata';
import { parseBalancerConfig } from '#common/config/balancer-config';
import { runService } from '#common/process/service';
import { startBalancer } from './src/runtime/start-balancer';

runService({
  name: 'balancer',
  parse: parseBalancerConfig,
  bindings: ({ BALANCER_ID }) => ({ balancer: BALANCER_ID }),
  start: startBalancer,
});
