/** Requests as odd as clients send them: a body with any method, bytes that are no JSON, no content type. */
import { request as httpRequest } from 'node:http';

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** The body, parsed where it is JSON. */
  body: unknown;
}

export type Ask = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

/** Asks the gateway at `baseUrl`. A body that is neither text nor bytes is sent as JSON. */
export function asker(baseUrl: string): Ask {
  const { hostname, port } = new URL(baseUrl);
  return (method, path, body, headers = {}) =>
    new Promise((resolve, reject) => {
      const bytes = bytesOf(body);
      const length = bytes === undefined ? {} : { 'content-length': String(bytes.length) };
      const asked = httpRequest({ hostname, port, method, path, headers: { ...length, ...headers } }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const json = answer.headers['content-type']?.startsWith('application/json') === true && text !== '';
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: json ? (JSON.parse(text) as unknown) : text,
          });
        });
      });
      asked.on('error', reject);
      asked.end(bytes);
    });
}

function bytesOf(body: unknown): Buffer | undefined {
  if (body === undefined) return undefined;
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}
