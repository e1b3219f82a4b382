/** Answers on their way out. */
import type { FastifyReply } from 'fastify';

export const JSON_TYPE = 'application/json; charset=utf-8';

/** Sends JSON text that is ready. */
export function sendJsonText(reply: FastifyReply, text: string | Buffer, status = 200): void {
  reply.code(status).header('content-type', JSON_TYPE).send(text);
}

export function sendJson(reply: FastifyReply, answer: unknown, status = 200): void {
  sendJsonText(reply, JSON.stringify(answer), status);
}
