/** The gateway's parts, put together. */
import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { NatsConnection } from 'nats';
import type { Logger } from '#common/logging/logger';
import { ClusterCommands } from '../bus/cluster-commands';
import { PageReader } from '../bus/ranges/page-reader';
import { SnapshotLeases } from '../bus/ranges/snapshot-leases';
import { RecordBus } from '../bus/batching/record-bus';
import { TableCache } from '../bus/table-cache';
import type { GatewayConfig } from '#common/config/gateway-config';
import { ChangeRequests } from '../http/change-requests';
import { ALLOW_REINIT, ClusterController } from '../http/cluster/cluster.controller';
import { GatewayMetrics } from '../http/system/gateway-metrics';
import { HttpErrorFilter } from '../http/system/http-error.filter';
import { SystemController } from '../http/system/system.controller';
import { OperationsController } from '../http/records/operations.controller';
import { RangeResponder } from '../http/records/range-response';
import { RecordRequests } from '../http/records/record-requests.service';
import { RecordsController } from '../http/records/records.controller';
import { BodyReader } from '../http/request-body';
import { RouteTable } from '../http/routes';

/** For a question to which no answer is needed. */
const STATUS_TIMEOUT_MS = 1_000;

/** What exists before the module does. */
export interface GatewayParts {
  config: GatewayConfig;
  nats: NatsConnection;
  logger: Logger;
  metrics: GatewayMetrics;
  routes: RouteTable;
  bus: RecordBus;
}

@Module({})
export class GatewayModule {
  static of({ config, nats, logger, metrics, routes, bus }: GatewayParts): DynamicModule {
    const clusterTimes = {
      holdMs: config.HOLD_MS,
      adminTimeoutMs: config.ADMIN_TIMEOUT_MS,
      requestTimeoutMs: config.REQUEST_TIMEOUT_MS,
    };
    const cluster = new ClusterCommands(nats, clusterTimes, () => bus.whyNobody());
    const tables = new TableCache({
      patiently: () => cluster.status(),
      once: () => cluster.statusNow(STATUS_TIMEOUT_MS),
    });
    const times = { holdMs: config.HOLD_MS, stalledClientMs: config.STALLED_CLIENT_MS };
    const ranges = new RangeResponder(new PageReader(nats), new SnapshotLeases(nats, config.HOLD_MS), times, logger);
    return {
      module: GatewayModule,
      controllers: [RecordsController, ClusterController, SystemController, OperationsController],
      providers: [
        { provide: ClusterCommands, useValue: cluster },
        { provide: TableCache, useValue: tables },
        { provide: RecordRequests, useValue: new RecordRequests(tables, bus, config.WRITE_ON_CONFLICT) },
        { provide: RangeResponder, useValue: ranges },
        { provide: ChangeRequests, useValue: new ChangeRequests() },
        { provide: BodyReader, useValue: new BodyReader(config.BODY_LIMIT) },
        { provide: GatewayMetrics, useValue: metrics },
        { provide: ALLOW_REINIT, useValue: config.ALLOW_REINIT },
        { provide: APP_FILTER, useValue: new HttpErrorFilter(routes, logger) },
      ],
    };
  }
}
