import fc from 'fast-check';
import { clientName, FrameCutter, isMessage } from './nats-frames';

const text = fc.string({ maxLength: 40 });
const subject = fc.stringMatching(/^[a-z]{1,8}(\.[a-z]{1,8}){0,2}$/);

/** Frames as clients and servers write them; payloads contain anything, line ends and verbs included. */
const frame = fc.oneof(
  fc.constantFrom('PING\r\n', 'PONG\r\n', '+OK\r\n', "-ERR 'Stale Connection'\r\n"),
  text.map((name) => `CONNECT ${JSON.stringify({ verbose: false, name })}\r\n`),
  fc.tuple(subject, text).map(([to, body]) => `SUB ${to} ${Buffer.byteLength(body)}\r\n`),
  fc
    .tuple(fc.constantFrom('PUB', 'MSG', 'pub'), subject, fc.constantFrom('', ' 7', ' 7 _INBOX.x'), message())
    .map(([verb, to, more, body]) => `${verb} ${to}${more} ${Buffer.byteLength(body)}\r\n${body}\r\n`),
  fc
    .tuple(fc.constantFrom('HPUB', 'HMSG'), subject, message())
    .map(
      ([verb, to, body]) => `${verb} ${to} _INBOX.x 12 ${12 + Buffer.byteLength(body)}\r\nNATS/1.0\r\n\r\n${body}\r\n`,
    ),
);

function message(): fc.Arbitrary<string> {
  return fc.oneof(text, fc.constantFrom('\r\n', '\r\nPING\r\n', 'PUB a 5\r\nhello\r\n', 'ä€😀'));
}

test('however the stream is torn, it is cut where its writer began a frame', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(30), { minLength: 1 }), (frames, sizes) => {
      const bytes = Buffer.from(frames.join(''));
      const cutter = new FrameCutter();
      const cut: string[] = [];
      for (let from = 0, turn = 0; from < bytes.length; turn += 1) {
        const to = from + (sizes[turn % sizes.length] ?? 0) + (turn % sizes.length === 0 ? 1 : 0);
        cut.push(...cutter.push(bytes.subarray(from, to)).map((found) => found.bytes.toString()));
        from = to;
      }
      expect(cut).toEqual(frames);
    }),
  );
});

test('a client is known by what it says of itself, and messages are recognised among the talk around them', () => {
  const [hello, ping, published] = new FrameCutter().push(
    Buffer.from('CONNECT {"name":"shard-node Server0"}\r\nPING\r\nPUB a.b 2\r\nhi\r\n'),
  );
  expect([hello, ping, published].map((found) => clientName(found!))).toEqual([
    'shard-node Server0',
    undefined,
    undefined,
  ]);
  expect([hello, ping, published].map((found) => isMessage(found!))).toEqual([false, false, true]);
});
