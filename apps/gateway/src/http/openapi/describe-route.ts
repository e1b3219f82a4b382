/** What the OpenAPI page says of a route, in one decorator. */
import { HttpCode, type Type } from '@nestjs/common';
import { ApiBody, ApiHeader, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { FailureAnswer } from './dto/answer-dtos';

/** Failures by status, in the words of the page. */
const FAILURES = {
  400: 'The request is wrong; nothing was changed',
  404: 'There is no such record',
  409: 'It does not fit what is there (no configuration yet, another configuration, a key that exists); nothing was changed',
  413: 'The body is larger than BODY_LIMIT',
  422: 'The Idempotency-Key was used for another request before; nothing was changed',
  503: 'It cannot be done now; nothing was changed, ask again after `Retry-After` seconds',
  504: 'No answer in time; the outcome is not known',
} as const;
type FailureStatus = keyof typeof FAILURES;

const NOTES: Partial<Record<FailureStatus, { headers: Record<string, object> }>> = {
  503: { headers: { 'Retry-After': { description: 'Seconds', schema: { type: 'integer' } } } },
};

const OPERATION_ID_HEADER = {
  'Operation-Id': { description: 'Names the change: `GET /operations/{id}`', schema: { type: 'string' } },
} as const;
const IDEMPOTENCY_KEY_HEADER = {
  name: 'Idempotency-Key',
  required: false,
  description:
    "The client's own name for the change. The same request again with the same key gets the first answer and changes nothing.",
  schema: { type: 'string', pattern: '^[!-~]{1,128}$' },
} as const;

export interface RouteDescription {
  summary: string;
  description?: string;
  body?: Type | object;
  bodyRequired?: boolean;
  /** It changes records: it has an operation id. */
  changes?: boolean;
  answer: Type;
  answerDescription: string;
  failures: readonly FailureStatus[];
}

/** Describes a route, and makes 200 its status. */
export function DescribeRoute(route: RouteDescription): MethodDecorator {
  const decorators = [
    HttpCode(200),
    ApiOperation({
      summary: route.summary,
      ...(route.description === undefined ? {} : { description: route.description }),
    }),
    ApiResponse({
      status: 200,
      description: route.answerDescription,
      type: route.answer,
      ...(route.changes === true ? { headers: OPERATION_ID_HEADER } : {}),
    }),
    ...route.failures.map((status) =>
      ApiResponse({ status, description: FAILURES[status], type: FailureAnswer, ...NOTES[status] }),
    ),
  ];
  if (route.changes === true) decorators.push(ApiHeader(IDEMPOTENCY_KEY_HEADER));
  if (route.body !== undefined) decorators.push(describeBody(route.body, route.bodyRequired ?? true));
  return (target, name, descriptor) => {
    for (const decorate of decorators) decorate(target, name, descriptor);
  };
}

function describeBody(body: Type | object, required: boolean): MethodDecorator {
  return typeof body === 'function' ? ApiBody({ type: body as Type, required }) : ApiBody({ schema: body, required });
}
