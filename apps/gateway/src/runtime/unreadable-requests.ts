/**
 * Requests that never come to a route: what is not HTTP at all, is too large or too slow, wants a tunnel, or expects what nobody
 * does. They are answered in the one form there is for failures, behind the answers that the connection still waits for.
 */
import { STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { failureBody } from '../http/error-status';
import { JSON_TYPE } from '../http/replies';

/** How long a client may take to end a connection that was ended from here. */
const LINGER_MS = 5_000;

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

/** What is known of a connection. */
interface Connection {
  /** Not answered in full, in the order of the requests. */
  open: Set<Exchange>;
  newest: Exchange;
  /** What is to be done behind the last open answer. */
  afterwards: (() => void) | null;
}

export class UnreadableRequests {
  private readonly connections = new WeakMap<Duplex, Connection>();
  private readonly given = new WeakSet<Duplex>();

  /** @param methods those that some route takes, for the header `Allow` */
  constructor(private readonly methods: () => readonly string[]) {}

  /** Answers what the server does not pass on to routes, but for `answer`, which is for its event `clientError`. */
  listen(server: Server): void {
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      this.follow({ request, response });
    });
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      this.follow({ request, response });
      const body = failureBody(
        `the expectation cannot be met (${STATUS_CODES[417] ?? ''}): leave the header Expect out`,
      );
      response.writeHead(417, headersFor(body)).end(body);
    });
    server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
      const allow = this.methods().join(', ');
      socket.on('error', () => socket.destroy());
      end(socket, 405, `there are no tunnels here: use ${allow}`, { allow });
    });
  }

  /** A request that cannot be read, or did not come in time. The connection ends, since nobody knows where the next one begins. */
  answer(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    // What comes behind it is unreadable as well.
    if (this.given.has(socket)) return;
    this.given.add(socket);
    const status = statusOf(error.code);
    const say = (): void => {
      end(socket, status, `the request cannot be read: ${STATUS_CODES[status] ?? 'it is not HTTP'}`);
    };
    const connection = this.connections.get(socket);
    if (connection === undefined) {
      say();
      return;
    }
    const { newest, open } = connection;
    const isItsBody = !newest.request.complete;
    // It has been answered already, or half: nothing more can be said of it.
    if (isItsBody && newest.response.headersSent) {
      if (newest.response.writableEnded) socket.end();
      else socket.destroy();
      return;
    }
    if (isItsBody) open.delete(newest);
    if (open.size === 0) say();
    else connection.afterwards = say;
  }

  private follow(exchange: Exchange): void {
    const { socket } = exchange.request;
    const connection = this.connections.get(socket) ?? { open: new Set(), newest: exchange, afterwards: null };
    this.connections.set(socket, connection);
    connection.newest = exchange;
    connection.open.add(exchange);
    exchange.response.once('close', () => {
      connection.open.delete(exchange);
      if (connection.open.size === 0) connection.afterwards?.();
    });
  }
}

function statusOf(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}

function headersFor(body: string): Record<string, string> {
  return { 'content-type': JSON_TYPE, 'content-length': String(Buffer.byteLength(body)), connection: 'close' };
}

/** Writes an answer without the help of the HTTP server, and ends the connection. */
function end(socket: Duplex, status: number, message: string, more: Record<string, string> = {}): void {
  if (!socket.writable) return;
  const body = failureBody(message);
  const headers = Object.entries({ ...more, ...headersFor(body) }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${headers.join('')}\r\n${body}`);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => {
    clearTimeout(timer);
  });
}
