import { ShardlineError } from '#common/contracts/errors';
import { COMMAND_MESSAGES } from '#common/nats/command-messages';
import { encodeLines } from '#common/nats/lines';
import { readReply } from './batching/batch';
import { readPage } from './ranges/page-reader';

const reads = COMMAND_MESSAGES.read.reply;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('an answer to a batch', () => {
  test('hands every operation its rows', () => {
    const results = [
      { id: 2, shards: ['a'], count: 1 },
      { id: 0, error: { code: 'BUSY', message: 'full', retryable: true } },
      { id: 1, shards: ['b'], count: 0 },
      { id: 3, shards: ['c'], count: 1 },
    ];
    const reply = readReply(reads, encodeLines({ results, done: true }, ['{"k":1}', '{"k":2}']));
    expect(reply).toMatchObject({ done: true, failure: null });
    if (reply.failure !== null) throw reply.failure;
    expect(reply.outcomes.map(({ index, outcome, error }) => [index, outcome?.rows ?? error?.code])).toEqual([
      [2, ['{"k":1}']],
      [0, 'BUSY'],
      [1, []],
      [3, ['{"k":2}']],
    ]);
  });

  test('may be a failure of the whole', () => {
    const error = { code: 'FENCED', message: 'no', retryable: true };
    expect(readReply(reads, bytes(JSON.stringify({ error })))).toMatchObject({ failure: error });
  });

  test.each(['', '{}', '[', 'x', '[{"results":1}]', '{"error"'])('%j cannot be read', (text) => {
    expect(readReply(reads, bytes(text)).failure).toMatchObject({ code: 'BAD_MESSAGE' });
  });
});

describe('a page', () => {
  const page = (header: object, rows: string[]): Buffer => Buffer.from(encodeLines(header, rows));

  test('keeps its rows as they are', () => {
    const { rows, next } = readPage(page({ pages: [{ count: 2, next: 7 }] }, ['{"k":"é"}', '{"k":"],"}']));
    expect(rows.toString()).toBe('{"k":"é"},\n{"k":"],"}');
    expect(next).toBe(7);
  });

  test('may be empty', () => {
    const { rows, next } = readPage(page({ pages: [{ count: 0, next: null }] }, []));
    expect(rows).toHaveLength(0);
    expect(next).toBeNull();
  });

  test('may be an error', () => {
    const error = new ShardlineError('SNAPSHOT_GONE', 'purged', false).toBody();
    expect(() => readPage(Buffer.from(JSON.stringify({ error })))).toThrow(expect.objectContaining(error) as Error);
  });

  test.each(['', '{}', '[{"pages":[]}]', '[{"pa'])('%j cannot be read', (text) => {
    expect(() => readPage(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'BAD_MESSAGE' }) as Error);
  });
});
