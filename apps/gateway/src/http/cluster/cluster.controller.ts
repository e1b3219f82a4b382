/** `/init`, `/status`, `/add`, `/rm`. */
import { Controller, Delete, Get, Inject, Post, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ClusterCommands } from '../../bus/cluster-commands';
import { TableCache } from '../../bus/table-cache';
import { addCommandOf, initCommandOf, rmCommandOf } from '../../core/admin-requests';
import { addAnswer, CONFIGURED, rmAnswer, scrubAnswer, statusAnswer } from '../../core/answers';
import { DescribeRoute } from '../openapi/describe-route';
import { AddedAnswer, DoneAnswer, RemovedAnswer, ScrubbedAnswer, StatusAnswer } from '../openapi/dto/answer-dtos';
import { AddBody, InitBody, RmBody } from '../openapi/dto/bodies';
import { sendJson } from '../replies';
import { BodyReader } from '../request-body';

const timeOf = (ageMs: number): string => new Date(Date.now() - ageMs).toISOString();

/** Whether `/init` may drop another configuration. */
export const ALLOW_REINIT = Symbol('ALLOW_REINIT');

@ApiTags('cluster')
@Controller()
export class ClusterController {
  constructor(
    private readonly cluster: ClusterCommands,
    private readonly tables: TableCache,
    private readonly bodies: BodyReader,
    @Inject(ALLOW_REINIT) private readonly allowReinit: boolean,
  ) {}

  @Post('init')
  @DescribeRoute({
    summary: 'Configures the cluster: the table, its shards, and which server holds which',
    description:
      'The same configuration again answers 200 and changes nothing; another one answers 409, unless the gateway runs with ALLOW_REINIT=true.',
    body: InitBody,
    answer: DoneAnswer,
    answerDescription: '`Configured Database`',
    failures: [400, 409, 413, 503, 504],
  })
  async init(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const command = initCommandOf(await this.bodies.json(request.raw), this.allowReinit);
    await this.cluster.init(command);
    this.tables.forget();
    sendJson(reply, CONFIGURED);
  }

  @Get('status')
  @DescribeRoute({
    summary: 'The cluster as it is now',
    answer: StatusAnswer,
    answerDescription: 'Servers, shards, replicas with their states, and the ring',
    failures: [503],
  })
  async status(@Res() reply: FastifyReply): Promise<void> {
    sendJson(reply, statusAnswer(await this.cluster.status(), timeOf));
  }

  @Post('scrub')
  @DescribeRoute({
    summary: 'Compares the replicas of every shard now',
    description:
      'This also runs in the background, each shard once in SCRUB_INTERVAL_S. A replica that differs from the others is taken out and fully re-copied; the event shard.diverged names the keys.',
    answer: ScrubbedAnswer,
    answerDescription: 'By shard: the VAT, who was compared, and who differs',
    failures: [409, 503, 504],
  })
  async scrub(@Res() reply: FastifyReply): Promise<void> {
    sendJson(reply, scrubAnswer(await this.cluster.scrub()));
  }

  @Post('add')
  @DescribeRoute({
    summary: 'Adds servers, and shards',
    body: AddBody,
    answer: AddedAnswer,
    answerDescription: 'The number of servers now, and the names of the new ones',
    failures: [400, 409, 413, 503, 504],
  })
  async add(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const command = addCommandOf(await this.bodies.json(request.raw));
    sendJson(reply, addAnswer(await this.cluster.add(command)));
  }

  @Delete('rm')
  @DescribeRoute({
    summary: 'Removes servers; what only they hold is copied elsewhere first',
    body: RmBody,
    answer: RemovedAnswer,
    answerDescription: 'The number of servers left, and the names of the removed ones',
    failures: [400, 409, 413, 503, 504],
  })
  async rm(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const command = rmCommandOf(await this.bodies.json(request.raw));
    sendJson(reply, rmAnswer(await this.cluster.rm(command)));
  }
}
