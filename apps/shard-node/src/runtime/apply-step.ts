/** One step of a message of rounds: parts of different shards, decided together and written in one transaction. */
import { hash } from 'node:crypto';
import type { ReplicaState } from '../core/replica-state';
import {
  admitPart,
  decidePart,
  mustUndo,
  type Known,
  type Measures,
  type PartResult,
  type PartTask,
} from '../core/round-plan';
import type { PartQuestion, WriteTransaction } from '../ports/version-store';

const MEASURES: Measures = {
  digest: (text) => hash('sha1', text, 'base64'),
  byteLength: (text) => Buffer.byteLength(text),
};

/** The parts of a step: what they need to know is asked for in one go, then each is decided and written. @throws ShardlineError */
export async function applyStep(
  transaction: WriteTransaction,
  shards: ReplicaState['shards'],
  step: readonly PartTask[],
): Promise<PartResult[]> {
  const admitted = step.map((task) => ({ task, before: admitPart(shards, task) }));
  const undone = await Promise.all(
    admitted.map(({ task, before }) => {
      const { shard, vat } = task.part;
      return mustUndo(before, task.part) ? transaction.undoAbove(shard, vat) : Promise.resolve(0);
    }),
  );
  const known = await Promise.all(admitted.map(({ task }) => transaction.lookUp(questionOf(task))));
  return admitted.map(({ task, before }, index) => {
    const result = decidePart(before, undone[index] ?? 0, known[index] ?? NOTHING_KNOWN, task, MEASURES);
    transaction.write(result.write);
    // Rare, so that the statement of every round need not carry it.
    if (task.part.epochStarts !== undefined) transaction.saveShard(result.write.state);
    return result;
  });
}

const NOTHING_KNOWN: Known = { living: new Set(), ops: new Map() };

function questionOf({ part, keys, ids }: PartTask): PartQuestion {
  return { shard: part.shard, vat: part.vat, keys, forgottenUpTo: part.forgottenUpTo ?? 0, ids };
}
