import { BareSerializer } from './nest-transport';

function answerTo(packet: { response?: unknown; err?: unknown }): unknown {
  const { data } = new BareSerializer().serialize({ id: 'x', ...packet } as never);
  return JSON.parse(Buffer.from(data as Uint8Array).toString());
}

test('an answer goes out as it is, and one that no message takes as a failure', () => {
  expect(answerTo({ response: { a: 1 } })).toEqual({ a: 1 });
  const large = answerTo({ response: { text: 'x'.repeat(9 * 1024 * 1024) } });
  expect(large).toEqual({
    error: {
      code: 'INTERNAL',
      message: expect.stringContaining('more than a message takes') as string,
      retryable: false,
    },
  });
});
