/** A body that comes byte by byte takes the gateway's memory for its bytes, not for the pieces. */
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { sharedCluster } from '#common/testing/cluster-harness';

jest.setTimeout(300_000);

const shared = sharedCluster();

const PIECES = 2_000_000;
const PIECES_PER_WRITE = 10_000;
const HEAD = 'POST /write HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';

function gatewayMiB(): number {
  return (
    Number(execFileSync('ps', ['-o', 'rss=', '-p', String(shared.cluster.pidOf('gateway'))], { encoding: 'utf8' })) /
    1024
  );
}

/** Sends blanks, each in a chunk of its own, then whatever `last` says. Resolves to what came back. */
async function inPieces(pieces: number, beforeTheEnd: () => void): Promise<string> {
  const socket = connect(shared.cluster.port, '127.0.0.1');
  const answer = (async (): Promise<string> => {
    let text = '';
    for await (const chunk of socket) text += (chunk as Buffer).toString();
    return text;
  })();
  const sent = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      socket.write(text, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
  await sent(HEAD);
  for (let at = 0; at < pieces; at += PIECES_PER_WRITE) await sent('1\r\n \r\n'.repeat(PIECES_PER_WRITE));
  beforeTheEnd();
  await sent('0\r\n\r\n');
  return answer;
}

test('a body of 2 MB in chunks of one byte', async () => {
  // Once to warm up: a process grows to its working size with its first large request.
  await inPieces(PIECES / 20, () => undefined);
  const beforeMiB = gatewayMiB();
  let duringMiB = Number.NaN;
  const answer = await inPieces(PIECES, () => {
    duringMiB = gatewayMiB();
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(duringMiB - beforeMiB).toBeLessThan(100);
});
