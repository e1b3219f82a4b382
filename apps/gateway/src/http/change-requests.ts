/** What `/write`, `/update` and `/del` have in common: an operation id, and failures that say how to ask for its outcome. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OPERATION_PATTERN } from '#common/contracts/commands';
import { ShardlineError, type ErrorCode } from '#common/contracts/errors';
import { Operation, OperationIds } from '../bus/operations';
import { badRequest } from '../core/body-fields';
import { HttpFailure, httpFailureOf } from './error-status';

/** The header by which a client names its request. Node spells names of headers in lower case. */
const IDEMPOTENCY_KEY = 'idempotency-key';
/** The header by which every change is answered. */
const OPERATION_ID = 'operation-id';
/** Readers of a path take no more than this; each character of an id may be spelled with three. */
export const MAX_ID_LENGTH_IN_PATH = 3 * 128;

export class ChangeRequests {
  private readonly ids = new OperationIds();

  /**
   * Carries a change out under the client's name for it, or else a new one, and names it in the answer's header.
   *
   * @throws ShardlineError BAD_REQUEST when the name cannot be one; what `change` throws; HttpFailure 503 or 504, saying whether
   * anything may have happened
   */
  async carryOut<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    change: (operation: Operation) => Promise<T>,
  ): Promise<T> {
    const operation = this.operationOf(request);
    reply.header(OPERATION_ID, operation.id);
    try {
      return await change(operation);
    } catch (thrown) {
      throw thrown instanceof ShardlineError ? failureOf(thrown, operation) : thrown;
    }
  }

  private operationOf(request: FastifyRequest): Operation {
    const arrivedAtMs = performance.now();
    const key = request.headers[IDEMPOTENCY_KEY];
    if (key === undefined) return new Operation(this.ids.next(), false, arrivedAtMs);
    return new Operation(operationIdOf(key, 'the Idempotency-Key'), true, arrivedAtMs);
  }
}

/** @throws ShardlineError BAD_REQUEST */
export function operationIdOf(text: unknown, what: string): string {
  if (typeof text !== 'string' || !OPERATION_PATTERN.test(text)) {
    throw badRequest(`${what} must be 1 to 128 visible ASCII characters without spaces`);
  }
  return text;
}

/** What shards store with the operation's id, so that every attempt is answered alike. */
const HOLDS_FOR_EVERY_ATTEMPT: readonly ErrorCode[] = ['KEY_EXISTS', 'KEY_NOT_FOUND', 'ID_REUSED'];

/** A failure says that nothing was changed only where that is certain: an earlier attempt may still arrive, and be carried out. */
function failureOf(error: ShardlineError, operation: Operation): ShardlineError | HttpFailure {
  const { status, message, headers } = httpFailureOf(error);
  const where = `GET /operations/${encodeURIComponent(operation.id)}`;
  const isInDoubt = status === 504 || (operation.inDoubt && !HOLDS_FOR_EVERY_ATTEMPT.includes(error.code));
  if (!isInDoubt)
    return status === 503 ? new HttpFailure(503, `${message} (${where} has the outcome)`, headers) : error;
  return new HttpFailure(
    504,
    `${error.message}: it may or may not have been done; ${where} has the outcome, and the same request with the header ` +
      `Idempotency-Key: ${operation.id} is never carried out twice`,
  );
}
