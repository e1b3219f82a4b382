/** The balancer's process. */
import 'reflect-metadata';
import { runService } from '#common/process/service';
import { startBalancer } from './src/runtime/start-balancer';

runService(startBalancer);
