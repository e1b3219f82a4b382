/** What the gateway counts. */
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const LATENCY_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const BATCH_BUCKETS_OPS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

type RequestLabels = 'method' | 'route' | 'status';
interface Observer {
  observe(value: number): void;
}

export class GatewayMetrics {
  private readonly registry = new Registry();
  private readonly requests: Histogram<RequestLabels>;
  private readonly batches: Histogram<'kind'>;
  /** Looked up once for each set of labels: prom-client builds a key from them every time. */
  private readonly requestObservers = new Map<string, Observer>();
  private readonly batchObservers = new Map<string, Observer>();

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry, prefix: 'shardline_gateway_' });
    this.requests = new Histogram({
      name: 'shardline_gateway_request_seconds',
      help: 'Requests answered, by route and status, and how long they took',
      labelNames: ['method', 'route', 'status'],
      buckets: LATENCY_BUCKETS_S,
      registers,
    });
    this.batches = new Histogram({
      name: 'shardline_gateway_batch_ops',
      help: 'Record operations per message to the leader',
      labelNames: ['kind'],
      buckets: BATCH_BUCKETS_OPS,
      registers,
    });
  }

  /** Shows the number of requests that are being answered, and of operations under way by kind. */
  watch(inFlight: () => number, underWay: () => Record<string, number>): void {
    const registers = [this.registry];
    new Gauge({
      name: 'shardline_gateway_requests_in_flight',
      help: 'Requests that have not been answered',
      registers,
      collect() {
        this.set(inFlight());
      },
    });
    new Gauge({
      name: 'shardline_gateway_ops_under_way',
      help: 'Record operations that the leader has not answered',
      labelNames: ['kind'],
      registers,
      collect() {
        for (const [kind, ops] of Object.entries(underWay())) this.set({ kind }, ops);
      },
    });
  }

  /** `route` is the route's pattern, never a client's text. */
  observeRequest(method: string, route: string, status: number, tookMs: number): void {
    const key = `${method} ${route} ${status}`;
    let observer = this.requestObservers.get(key);
    if (observer === undefined) {
      observer = this.requests.labels({ method, route, status });
      this.requestObservers.set(key, observer);
    }
    observer.observe(tookMs / 1_000);
  }

  observeBatch(kind: string, ops: number): void {
    let observer = this.batchObservers.get(kind);
    if (observer === undefined) {
      observer = this.batches.labels({ kind });
      this.batchObservers.set(kind, observer);
    }
    observer.observe(ops);
  }

  /** The Prometheus text format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  get contentType(): string {
    return this.registry.contentType;
  }
}
