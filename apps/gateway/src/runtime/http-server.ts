/** Fastify as the contract needs it: bodies with every method and content type, doubled slashes, failures in one form. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { MAX_ID_LENGTH_IN_PATH } from '../http/change-requests';
import { failureBody } from '../http/error-status';
import type { GatewayMetrics } from '../http/gateway-metrics';
import { JSON_TYPE } from '../http/replies';
import type { RouteTable } from '../http/routes';

/** How long a client may take to send a request. */
const REQUEST_DEADLINE_MS = 120_000;
const NO_ROUTE = 'none';

/** An adapter that leaves bodies to us (see `http/request-body.ts`); `routes` and `metrics` learn from it what they need. */
export function createHttpAdapter(routes: RouteTable, metrics: GatewayMetrics): FastifyAdapter {
  const adapter = new FastifyAdapter({
    logger: false,
    requestTimeout: REQUEST_DEADLINE_MS,
    forceCloseConnections: 'idle',
    // A request that comes while the gateway stops is still answered; its connection is closed behind it.
    return503OnClosing: false,
    routerOptions: {
      ignoreDuplicateSlashes: true,
      ignoreTrailingSlash: true,
      maxParamLength: MAX_ID_LENGTH_IN_PATH,
    },
    frameworkErrors: sendFrameworkError,
    clientErrorHandler: answerUnreadable,
    skipMiddie: true,
  });
  const fastify = adapter.getInstance();
  for (const method of fastify.supportedMethods) {
    fastify.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  fastify.addHook('onRoute', (route) => {
    routes.add(route.url, route.method);
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    metrics.observeRequest(request.method, request.routeOptions.url ?? NO_ROUTE, reply.statusCode, reply.elapsedTime);
    done();
  });
  return adapter;
}

/** Failures before any route: a path that cannot be decoded. */
function sendFrameworkError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  reply
    .code(400)
    .header('content-type', JSON_TYPE)
    .send(failureBody(`the request cannot be read: ${error.message}`));
}

/** What is not HTTP at all, has too large headers or comes too slowly gets an answer too, then the end of the connection. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = unreadableStatus(error.code);
  const body = failureBody(`the request cannot be read: ${STATUS_CODES[status] ?? 'it is not HTTP'}`);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: ${JSON_TYPE}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function unreadableStatus(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}
