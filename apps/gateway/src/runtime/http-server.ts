/** Fastify as the contract needs it: bodies with every method and content type, doubled slashes, failures in one form. */
import type { IncomingMessage } from 'node:http';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { MAX_ID_LENGTH_IN_PATH } from '../http/change-requests';
import { failureBody } from '../http/error-status';
import type { GatewayMetrics } from '../http/system/gateway-metrics';
import { JSON_TYPE } from '../http/replies';
import type { RouteTable } from '../http/routes';
import { UnreadableRequests } from './unreadable-requests';

/** How patient the server is with clients, in milliseconds. */
interface HttpTimes {
  /** How long a client may take to send a request. */
  requestDeadlineMs: number;
  /** How often that is looked at. */
  lookEveryMs: number;
}
const TIMES: HttpTimes = { requestDeadlineMs: 120_000, lookEveryMs: 10_000 };
const HEADERS_DEADLINE_MS = 60_000;
const NO_ROUTE = 'none';
const HOST = 'host';

/** An adapter that leaves bodies to us (see `http/request-body.ts`); `routes` and `metrics` learn from it what they need. */
export function createHttpAdapter(routes: RouteTable, metrics: GatewayMetrics, times = TIMES): FastifyAdapter {
  const unreadable = new UnreadableRequests(() => routes.everyMethod());
  const adapter = new FastifyAdapter({
    logger: false,
    requestTimeout: times.requestDeadlineMs,
    http: {
      connectionsCheckingInterval: times.lookEveryMs,
      headersTimeout: Math.min(HEADERS_DEADLINE_MS, times.requestDeadlineMs),
      // Node would answer without a body; we look ourselves.
      requireHostHeader: false,
    },
    forceCloseConnections: 'idle',
    // A request that comes while the gateway stops is still answered; its connection is closed behind it.
    return503OnClosing: false,
    routerOptions: {
      ignoreDuplicateSlashes: true,
      ignoreTrailingSlash: true,
      maxParamLength: MAX_ID_LENGTH_IN_PATH,
    },
    frameworkErrors: sendFrameworkError,
    clientErrorHandler: (error, socket) => {
      unreadable.answer(error, socket);
    },
    skipMiddie: true,
  });
  const fastify = adapter.getInstance();
  unreadable.listen(fastify.server);
  for (const method of fastify.supportedMethods) {
    fastify.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  fastify.addHook('onRoute', (route) => {
    routes.register(route.url, route.method);
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    const hosts = hostsOf(request.raw);
    if (hosts === 1 || (hosts === 0 && request.raw.httpVersion !== '1.1')) {
      done();
      return;
    }
    const message = `the request cannot be read: it must have one header Host, and has ${hosts}`;
    reply.code(400).headers({ 'content-type': JSON_TYPE, connection: 'close' }).send(failureBody(message));
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    metrics.observeRequest(request.method, request.routeOptions.url ?? NO_ROUTE, reply.statusCode, reply.elapsedTime);
    done();
  });
  return adapter;
}

/** How often it says which host it is for. */
function hostsOf({ rawHeaders }: IncomingMessage): number {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (name.length === HOST.length && name.toLowerCase() === HOST) hosts += 1;
  }
  return hosts;
}

/** Failures before any route: a path that cannot be decoded. */
function sendFrameworkError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  reply
    .code(400)
    .header('content-type', JSON_TYPE)
    .send(failureBody(`the request cannot be read: ${error.message}`));
}
