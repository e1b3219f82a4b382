/** What the core asks for: of shard-nodes, of the bucket, of the launcher. Here it is done, in whatever world there is. */
import type { Ask, Result } from '../core/kernel/effects';

export interface AskPort {
  /**
   * Begins to do what is asked, and says once what came of it (see `AskTypes` for the kind of each value): at once or later, within
   * the deadline of its kind. It never throws. An error is what was answered (`FENCED`, `STORE_FAILED`, …), or
   *
   * - `NO_LEADER`: nobody listens on the node's subject, or its process went away before it answered
   * - `OUTCOME_UNKNOWN`: the deadline passed
   * - `BUSY`: too much waits for the server already, and nothing was sent
   */
  perform(ask: Ask, answer: (outcome: Result<unknown>) => void): void;
}
