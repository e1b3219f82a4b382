/** The hashes that a ring can be built with, by name. */
import { hash as digest } from 'node:crypto';
import { PUBLISHED_HASH, type RingHash } from '../../core/cluster/hash-ring';

export const RING_HASHES = ['quadratic', 'md5', 'xxhash'] as const;
export type RingHashName = (typeof RING_HASHES)[number];

/** Requests and servers are hashed apart, so that request 5 does not always meet server 5 first. */
const REQUEST_SEED = 1;
const SERVER_SEED = 2;

/**
 * Makes a hash: `quadratic` is the published one, `md5` the first 32 bits of the digest, `xxhash` XXH32.
 * The last one compiles its WebAssembly first, hence the promise.
 */
export async function makeRingHash(name: RingHashName): Promise<RingHash> {
  switch (name) {
    case 'quadratic':
      return PUBLISHED_HASH;
    case 'md5':
      return {
        request: (id) => md5Of(`request:${id}`),
        server: (number, virtual) => md5Of(`server:${number}:${virtual}`),
      };
    case 'xxhash': {
      const { default: compile } = await import('xxhash-wasm');
      const xxhash = await compile();
      return {
        request: (id) => xxhash.h32(String(id), REQUEST_SEED),
        server: (number, virtual) => xxhash.h32(`${number}:${virtual}`, SERVER_SEED),
      };
    }
  }
}

function md5Of(text: string): number {
  return Number.parseInt(digest('md5', text, 'hex').slice(0, 8), 16);
}
