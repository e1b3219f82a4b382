/** Structured logs: pino for us, and the same for Nest. */
import type { LoggerService } from '@nestjs/common';
import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/** One JSON object per line on standard error; `service` and whatever `bindings` says stand on every line. */
export function createLogger(service: string, level: string, bindings: Record<string, unknown> = {}): Logger {
  return pino(
    { level, base: { service, ...bindings, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** Nest's own messages through pino: its chatter at `debug`, its warnings and errors as they are. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, context?: unknown): void {
    this.logger.debug({ context }, String(message));
  }
  debug(message: unknown, context?: unknown): void {
    this.logger.debug({ context }, String(message));
  }
  verbose(message: unknown, context?: unknown): void {
    this.logger.trace({ context }, String(message));
  }
  warn(message: unknown, context?: unknown): void {
    this.logger.warn({ context }, String(message));
  }
  error(message: unknown, ...rest: unknown[]): void {
    this.logger.error({ rest }, message instanceof Error ? (message.stack ?? message.message) : String(message));
  }
  fatal(message: unknown, ...rest: unknown[]): void {
    this.logger.fatal({ rest }, String(message));
  }
}
