/** What every service does at its start and at its end. */
import { ConfigError } from '../config/env';
import type { Logger } from '../logging/logger';
import { CannotStartError } from './cannot-start';
import { holdLifeline } from './lifeline';

/** How long a graceful stop may take before the process ends all the same. */
const STOP_DEADLINE_MS = 10_000;

/**
 * Runs a service's `start`; on a wrong configuration prints its one line and exits with 78 (EX_CONFIG of sysexits.h), on any
 * other failure prints it and exits with 1.
 */
export function runService(start: () => Promise<void>): void {
  start().catch((error: unknown) => {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      process.exit(78);
    }
    process.stderr.write(`could not start: ${describe(error)}\n`);
    process.exit(1);
  });
}

/** What the system refused (a port in use, a folder that cannot be written) says itself, and so does what is for people; else the stack is needed. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'syscall' in error || error instanceof CannotStartError ? error.message : (error.stack ?? error.message);
}

/**
 * Stops the service once, gracefully, on SIGTERM, SIGINT or the end of the launcher, within a deadline; and ends it at
 * once on a failure that nobody caught, since its state can no longer be vouched for.
 */
export function stopOnSignals(logger: Logger, lifelineSocket: string | undefined, stop: () => Promise<void>): void {
  let stopping = false;
  const end = (why: string): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ why }, 'stopping');
    setTimeout(() => {
      logger.error('the graceful stop took too long');
      process.exit(1);
    }, STOP_DEADLINE_MS).unref();
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ err: error }, 'the graceful stop failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => {
    end('SIGTERM');
  });
  process.on('SIGINT', () => {
    end('SIGINT');
  });
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'nobody caught this');
    process.exit(1);
  });
  process.on('unhandledRejection', (reason) => {
    logger.fatal({ err: reason }, 'nobody awaited this');
    process.exit(1);
  });
  holdLifeline(lifelineSocket, nameOf(logger), () => {
    end('the launcher stops or is gone');
  });
}

/** What the service calls itself in its logs: `gateway`, `shard-node Server0`. */
function nameOf(logger: Logger): string {
  const { service, server } = logger.bindings();
  return [service, server].filter((part) => typeof part === 'string').join(' ');
}
