/** `/read`, `/write`, `/update`, `/del`. */
import { Controller, Delete, Get, Post, Put, Req, Res } from '@nestjs/common';
import { ApiExtraModels, ApiQuery, ApiTags, type ApiQueryOptions } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CONFLICT_POLICIES } from '#common/contracts/commands';
import type { Query } from '../../core/record-requests';
import { ChangeRequests } from '../change-requests';
import { DescribeRoute } from '../openapi/describe-route';
import { DoneAnswer, RowsAnswer } from '../openapi/dto/answer-dtos';
import { DeleteBody, KEY_SCHEMA, KeyRangeDto, READ_BODY_SCHEMA, UpdateBody, WriteBody } from '../openapi/dto/bodies';
import { RangeResponder } from './range-response';
import { RecordRequests } from './record-requests.service';
import { sendJsonText } from '../replies';
import { BodyReader } from '../request-body';

const READ_ANSWER = 'The rows by key, and the shards that were asked. A range that meets no shard has none of both.';
const keyQuery = (name: string, description: string): ApiQueryOptions => ({
  name,
  description,
  required: false,
  schema: KEY_SCHEMA,
});

/** Handlers answer by themselves: what Nest would do for each request with the value they return is not needed here. */
@ApiTags('records')
@ApiExtraModels(KeyRangeDto)
@Controller()
export class RecordsController {
  constructor(
    private readonly records: RecordRequests,
    private readonly ranges: RangeResponder,
    private readonly bodies: BodyReader,
    private readonly changes: ChangeRequests,
  ) {}

  @Post('read')
  @DescribeRoute({
    summary: 'Reads one record, or all within a range of keys',
    description: 'All rows are from one consistent snapshot, also across shards; large answers are streamed.',
    body: READ_BODY_SCHEMA,
    answer: RowsAnswer,
    answerDescription: READ_ANSWER,
    failures: [400, 409, 413, 503, 504],
  })
  readByPost(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.read(request, reply);
  }

  @Get('read')
  @ApiQuery(keyQuery('low', 'The lowest key, included; needed where there is no body'))
  @ApiQuery(keyQuery('high', 'The highest key, included; needed where there is no body'))
  @DescribeRoute({
    summary: 'Reads by query, or by the same body as POST',
    body: READ_BODY_SCHEMA,
    bodyRequired: false,
    answer: RowsAnswer,
    answerDescription: READ_ANSWER,
    failures: [400, 409, 413, 503, 504],
  })
  readByGet(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return this.read(request, reply);
  }

  @Post('write')
  @ApiQuery({
    name: 'onConflict',
    required: false,
    enum: [...CONFLICT_POLICIES],
    description: 'What happens to a key that exists, or appears twice in the request',
  })
  @DescribeRoute({
    summary: 'Writes new records: all of them or none, also across shards',
    body: WriteBody,
    answer: DoneAnswer,
    answerDescription: '`100 Data entries added`',
    changes: true,
    failures: [400, 409, 413, 422, 503, 504],
  })
  async write(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const answer = this.changes.carryOut(request, reply, async (operation) => {
      return this.records.write(operation, await this.bodies.bytes(request.raw), request.query as Query);
    });
    sendJsonText(reply, await answer);
  }

  @Put('update')
  @DescribeRoute({
    summary: 'Replaces one record',
    body: UpdateBody,
    answer: DoneAnswer,
    answerDescription: '`Data entry for Stud_id: 2255 updated`',
    changes: true,
    failures: [400, 404, 409, 413, 422, 503, 504],
  })
  async update(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const answer = this.changes.carryOut(request, reply, async (operation) => {
      return this.records.update(operation, await this.bodies.bytes(request.raw));
    });
    sendJsonText(reply, await answer);
  }

  @Delete('del')
  @DescribeRoute({
    summary: 'Deletes one record',
    body: DeleteBody,
    answer: DoneAnswer,
    answerDescription: '`Data entry with Stud_id:2255 removed from all replicas`',
    changes: true,
    failures: [400, 404, 409, 413, 422, 503, 504],
  })
  async delete(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const answer = this.changes.carryOut(request, reply, async (operation) => {
      return this.records.delete(operation, await this.bodies.bytes(request.raw));
    });
    sendJsonText(reply, await answer);
  }

  private async read(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const bytes = await this.bodies.bytes(request.raw);
    await this.ranges.respond(reply, () => this.records.read(bytes, request.query as Query));
  }
}
