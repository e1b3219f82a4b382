/** `/help`, `/healthz`, `/readyz`, `/metrics`: for people and machines that look after the cluster. */
import { Controller, Get, Res } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { ClusterCommands } from '../../bus/cluster-commands';
import { ShardlineError } from '#common/contracts/errors';
import { DescribeRoute } from '../openapi/describe-route';
import { HealthAnswer } from '../openapi/dto/answer-dtos';
import { HelpAnswer } from '../openapi/dto/help';
import { HttpFailure, RETRY_AFTER_SECONDS } from '../error-status';
import { GatewayMetrics } from './gateway-metrics';
import { HELP } from './help';
import { sendJson } from '../replies';

/** So many shards are named in a message. */
const SHARDS_NAMED = 10;
const PROBE_TIMEOUT_MS = 2_000;
const LEADER_METRICS_TIMEOUT_MS = 1_000;

@ApiTags('operations')
@Controller()
export class SystemController {
  constructor(
    private readonly cluster: ClusterCommands,
    private readonly metrics: GatewayMetrics,
  ) {}

  @Get('help')
  @DescribeRoute({
    summary: 'Every route, what it takes and an example',
    answer: HelpAnswer,
    answerDescription: 'The routes',
    failures: [],
  })
  help(@Res() reply: FastifyReply): void {
    sendJson(reply, HELP);
  }

  @Get('healthz')
  @DescribeRoute({
    summary: 'Whether this gateway runs',
    answer: HealthAnswer,
    answerDescription: 'It does',
    failures: [],
  })
  healthz(@Res() reply: FastifyReply): void {
    sendJson(reply, { message: 'The gateway runs', status: 'success' });
  }

  @Get('readyz')
  @DescribeRoute({
    summary: 'Whether requests can be served: there is a leader, and every shard can be written',
    answer: HealthAnswer,
    answerDescription: 'They can',
    failures: [503],
  })
  async readyz(@Res() reply: FastifyReply): Promise<void> {
    const status = await this.cluster.statusNow(PROBE_TIMEOUT_MS);
    const unwritable = status.shards.filter((shard) => !shard.writable).map((shard) => shard.shard);
    if (unwritable.length > 0) {
      const more = unwritable.length - SHARDS_NAMED;
      const named = unwritable.slice(0, SHARDS_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
      throw new HttpFailure(503, `${named} cannot be written now: too few replicas are in sync`, {
        'retry-after': String(RETRY_AFTER_SECONDS),
      });
    }
    sendJson(reply, { message: `${status.leader} leads and every shard can be written`, status: 'success' });
  }

  @Get('metrics')
  @ApiOperation({ summary: "The gateway's metrics and the leader's, as Prometheus text" })
  @ApiResponse({
    status: 200,
    description: 'Prometheus text',
    content: { 'text/plain': { schema: { type: 'string' } } },
  })
  async prometheus(@Res() reply: FastifyReply): Promise<void> {
    const [own, leader] = await Promise.all([this.metrics.text(), this.leaderMetrics()]);
    reply.header('content-type', this.metrics.contentType).send(`${own.trimEnd()}\n${leader.trimEnd()}\n`);
  }

  /** A missing leader must not take the gateway's own figures away. */
  private async leaderMetrics(): Promise<string> {
    try {
      return await this.cluster.metrics(LEADER_METRICS_TIMEOUT_MS);
    } catch (thrown) {
      return `# the leader's metrics are missing: ${ShardlineError.from(thrown).code}`;
    }
  }
}
