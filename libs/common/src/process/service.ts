/** What every service does at its start and at its end. */
import { ConfigError } from '../config/env';
import { createLogger, type Logger } from '../logging/logger';
import { CannotStartError } from './cannot-start';
import { EXIT } from './exit-status';
import { Lifeline } from './lifeline';

/** How long a graceful stop may take before the process ends all the same. */
const STOP_DEADLINE_MS = 10_000;
const LAUNCHER_GONE = 'the launcher stops or is gone';

/** A service while it runs. */
export interface RunningService {
  /** What its log says now that it runs. */
  started: { message: string; data: Record<string, unknown> };
  /** Takes nothing new, finishes what is under way, and lets go of everything. */
  stop(): Promise<void>;
}

/** What is a service's own; `runService` does what is the same for all. */
export interface Service<Config> {
  /** Its name in the log. */
  name: string;
  /** @throws ConfigError with one line that says which setting is wrong and why */
  parse(env: NodeJS.ProcessEnv): Config;
  /** What is allowed, yet hardly meant: one line each. */
  warnings?(config: Config): string[];
  /** What stands on every line of its log beside its name. */
  bindings?(config: Config): Record<string, unknown>;
  /** Resolves when it runs. */
  start(config: Config, logger: Logger, lifeline: Lifeline): Promise<RunningService>;
}

/**
 * Runs a service, from its environment to its graceful stop. On a wrong configuration it prints its one line and exits with 78, on any
 * other failure to start it prints that and exits with 1. While it starts there is nothing to finish: when it is told to stop, or its
 * launcher ends, it ends at once, whatever it waits for.
 */
export function runService<Config extends { LOG_LEVEL: string }>(service: Service<Config>): void {
  configureAndStart(service).catch((error: unknown) => {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      process.exit(EXIT.config);
    }
    process.stderr.write(`could not start: ${describe(error)}\n`);
    process.exit(EXIT.failed);
  });
}

async function configureAndStart<Config extends { LOG_LEVEL: string }>(service: Service<Config>): Promise<void> {
  const lifeline = Lifeline.hold(process.env, () => {
    process.stderr.write(`${LAUNCHER_GONE}: ending before it has started\n`);
    process.exit(EXIT.unavailable);
  });
  const config = service.parse(process.env);
  const logger = createLogger(service.name, config.LOG_LEVEL, service.bindings?.(config));
  for (const warning of service.warnings?.(config) ?? []) logger.warn(warning);
  let running: RunningService | null = null;
  stopOnSignals(logger, lifeline, async () => {
    await running?.stop();
  });
  running = await service.start(config, logger, lifeline);
  logger.info(running.started.data, running.started.message);
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
function stopOnSignals(logger: Logger, lifeline: Lifeline, stop: () => Promise<void>): void {
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
