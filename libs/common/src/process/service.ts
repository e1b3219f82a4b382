/** What every service does at its start and at its end. */
import { ConfigError } from '../config/env';
import type { Logger } from '../logging/logger';
import { CannotStartError } from './cannot-start';
import { EXIT } from './exit-status';
import { Lifeline } from './lifeline';

/** How long a graceful stop may take before the process ends all the same. */
const STOP_DEADLINE_MS = 10_000;
const LAUNCHER_GONE = 'the launcher stops or is gone';

/**
 * Runs a service's `start`. On a wrong configuration it prints its one line and exits with 78, on any other failure it prints that and
 * exits with 1. While it starts there is nothing to finish: when its launcher ends it ends at once, whatever it waits for.
 */
export function runService(start: (lifeline: Lifeline) => Promise<void>): void {
  holdAndStart(start).catch((error: unknown) => {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      process.exit(EXIT.config);
    }
    process.stderr.write(`could not start: ${describe(error)}\n`);
    process.exit(EXIT.failed);
  });
}

async function holdAndStart(start: (lifeline: Lifeline) => Promise<void>): Promise<void> {
  const lifeline = Lifeline.hold(process.env, () => {
    process.stderr.write(`${LAUNCHER_GONE}: ending before it has started\n`);
    process.exit(EXIT.unavailable);
  });
  await start(lifeline);
}

/** What the system refused (a port in use, a folder that cannot be written) says itself, and so does what is for people; else the stack is needed. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'syscall' in error || error instanceof CannotStartError ? error.message : (error.stack ?? error.message);
}

/**
 * Stops the service once, gracefully, on SIGTERM, SIGINT or the end of the launcher, within a deadline; and ends it at
 * once on a failure that nobody caught, since its state can no longer be vouched for. Only who was stopped by a signal ends with 0:
 * without its launcher a service ends with 69.
 */
export function stopOnSignals(logger: Logger, lifeline: Lifeline, stop: () => Promise<void>): void {
  let stopping = false;
  const end = (why: string, status: number): void => {
    if (stopping) return;
    stopping = true;
    logger[status === 0 ? 'info' : 'warn']({ why }, 'stopping');
    setTimeout(() => {
      logger.error('the graceful stop took too long');
      process.exit(EXIT.failed);
    }, STOP_DEADLINE_MS).unref();
    stop().then(
      () => process.exit(status),
      (error: unknown) => {
        logger.error({ err: error }, 'the graceful stop failed');
        process.exit(EXIT.failed);
      },
    );
  };
  process.on('SIGTERM', () => {
    end('SIGTERM', 0);
  });
  process.on('SIGINT', () => {
    end('SIGINT', 0);
  });
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught exception');
    process.exit(EXIT.failed);
  });
  process.on('unhandledRejection', (reason) => {
    logger.fatal({ err: reason }, 'unhandled rejection');
    process.exit(EXIT.failed);
  });
  lifeline.whenCut(() => {
    end(LAUNCHER_GONE, EXIT.unavailable);
  });
}
