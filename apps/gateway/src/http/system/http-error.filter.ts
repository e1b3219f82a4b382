/** Every failure on its way to a client, in the one form there is. */
import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { ShardlineError } from '#common/contracts/errors';
import type { Logger } from '#common/logging/logger';
import { failureBody, HttpFailure, httpFailureOf } from '../error-status';
import { sendJsonText } from '../replies';
import type { RouteTable } from '../routes';

@Catch()
export class HttpErrorFilter implements ExceptionFilter<unknown> {
  constructor(
    private readonly routes: RouteTable,
    private readonly logger: Logger,
  ) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const reply = http.getResponse<FastifyReply>();
    const request = http.getRequest<FastifyRequest>();
    const failure = this.failureOf(thrown, request);
    if (reply.sent || reply.raw.headersSent) {
      // Too late for another answer: a connection that breaks off is not taken for a complete one.
      this.logger.warn({ err: thrown }, 'an answer that had begun failed');
      reply.raw.destroy();
      return;
    }
    for (const [name, value] of Object.entries(failure.headers)) reply.header(name, value);
    sendJsonText(reply, failureBody(failure.message), failure.status);
  }

  private failureOf(thrown: unknown, request: FastifyRequest): HttpFailure {
    if (request.is404) return this.routes.failure(request.method, request.raw.url ?? '');
    if (thrown instanceof HttpFailure) return thrown;
    if (thrown instanceof ShardlineError) {
      if (thrown.code === 'INTERNAL') this.logger.error({ err: thrown }, 'unhandled error');
      return httpFailureOf(thrown);
    }
    // Nest wraps what Fastify throws, but not always.
    const status =
      thrown instanceof HttpException ? thrown.getStatus() : (thrown as Partial<FastifyError> | null)?.statusCode;
    if (status !== undefined && status >= 400 && status < 500)
      return new HttpFailure(status, `the request cannot be read: ${(thrown as Error).message}`);
    this.logger.error({ err: thrown }, 'unhandled error');
    return new HttpFailure(500, 'the gateway failed, and it is not your fault: please report it');
  }
}
