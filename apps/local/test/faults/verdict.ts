/** Whether what clients were answered can be explained, now that the faults are over. */
import { faultOf, UNDECIDED, type History } from '#common/testing/history';
import type { KeyBlock, Row } from './table';

/** One fault's keys, what was done to them, and what stood there at its end. */
export interface Chapter {
  name: string;
  block: KeyBlock;
  history: History;
  settled: string;
}

export interface Judgement {
  faults: string[];
  /** Groups of keys of which too many orders are possible. */
  undecided: number;
}

/**
 * Checks the history together with a last read of everything, which must show every change that was acknowledged. Each group is checked
 * as one object.
 */
export function judge(history: History, block: KeyBlock, rows: readonly Row[]): Judgement {
  const keys = block.keysIn(block.whole);
  const tokens = new Map(rows.map((row) => [row.Stud_id, row.Stud_name]));
  const last = history.call('the end', { kind: 'read', keys });
  history.answer(last, { how: 'seen', values: keys.map((key) => tokens.get(key) ?? null) });
  const verdicts = block.groups.map((group) => faultOf(history.entries, group));
  return {
    faults: verdicts.filter((verdict) => typeof verdict === 'string'),
    undecided: verdicts.filter((verdict) => verdict === UNDECIDED).length,
  };
}

/** What stands under the block's keys, as one text. */
export function settledText(block: KeyBlock, rows: readonly Row[]): string {
  return JSON.stringify(rows.filter(({ Stud_id: key }) => block.has(key)).map((row) => [row.Stud_id, row.Stud_name]));
}

/** Earlier faults' keys must not have changed, except by a change whose outcome was never known. */
export function judgeEarlier(chapters: readonly Chapter[], rows: readonly Row[]): string[] {
  return chapters.flatMap((chapter) => {
    const settled = settledText(chapter.block, rows);
    if (settled === chapter.settled) return [];
    chapter.settled = settled;
    return judge(chapter.history, chapter.block, rows).faults.map(
      (fault) => `keys of ${chapter.name}, later: ${fault}`,
    );
  });
}
