/** Where events go. */
import type { ClusterEvent } from '#common/contracts/events';

export interface EventSink {
  /** Publishes and keeps the event; a failure is logged and never disturbs the caller. */
  publish(event: ClusterEvent): void;
}
