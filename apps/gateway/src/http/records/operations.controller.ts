/** `/operations/{id}`: what became of a change. */
import { Controller, Get, Param, Res } from '@nestjs/common';
import { ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { OperationStatus } from '#common/contracts/commands';
import { ShardlineError, type ErrorBody } from '#common/contracts/errors';
import { ClusterCommands } from '../../bus/cluster-commands';
import { operationIdOf } from '../change-requests';
import { DescribeRoute } from '../openapi/describe-route';
import { OperationAnswer, type OperationRefusalDto } from '../openapi/dto/answer-dtos';
import { httpFailureOf } from '../error-status';
import { sendJson } from '../replies';

@ApiTags('records')
@Controller()
export class OperationsController {
  constructor(private readonly cluster: ClusterCommands) {}

  @Get('operations/:id')
  @ApiParam({
    name: 'id',
    description: 'The Operation-Id of the answer, which is the Idempotency-Key of the request where it had one',
    schema: { type: 'string', pattern: '^[!-~]{1,128}$' },
  })
  @DescribeRoute({
    summary: 'Returns what became of a change',
    description:
      'Outcomes are kept for OPERATION_HORIZON_S. `unknown` says that there is none: the change was never decided, is being decided, or was longer ago.',
    answer: OperationAnswer,
    answerDescription: 'Whether it was committed or refused, if it is known',
    failures: [400, 409, 503],
  })
  async outcome(@Param('id') id: string, @Res() reply: FastifyReply): Promise<void> {
    sendJson(reply, operationAnswer(await this.cluster.operation(operationIdOf(id, 'the id of an operation'))));
  }
}

/** As the client of the change got it. */
function operationAnswer({ operation, outcome, added, refusal }: OperationStatus): OperationAnswer {
  return {
    operation,
    outcome,
    ...(added === undefined ? {} : { added }),
    ...(refusal === undefined ? {} : { error: refusalOf(refusal) }),
    status: 'success',
  };
}

function refusalOf(error: ErrorBody): OperationRefusalDto {
  const { status, message } = httpFailureOf(ShardlineError.fromBody(error));
  return { httpStatus: status, code: error.code, message: `<Error> ${message}` };
}
