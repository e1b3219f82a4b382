/** Where events go. */
import type { ClusterEvent } from '#common/contracts/events';

export interface EventSink {
  /** Publishes and keeps the event; a failure is logged and never disturbs the caller. */
  publish(event: ClusterEvent): void;
  /** Resolves when what was published has been kept or given up, within a deadline. */
  flush(): Promise<void>;
}
