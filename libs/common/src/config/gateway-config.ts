/** The gateway's settings: the environment, parsed and checked once. */
import { z } from 'zod';
import { COMMON_SETTINGS, ConfigError, parseEnv, setting } from './env';
import { CONFLICT_POLICIES } from '../contracts/commands';

const MIB = 1024 * 1024;

export const GATEWAY_SETTINGS = z
  .object({
    ...COMMON_SETTINGS,
    PORT: setting.int(5_000, 0, 65_535),
    /** The API has no authentication yet: who wants it on the network says so (a container sets 0.0.0.0). */
    HOST: setting.text('127.0.0.1'),
    /** Bytes of a request's body. A write travels whole, so it stays below the broker's `max_payload`. */
    BODY_LIMIT: setting.int(4 * MIB, 1_024, 64 * MIB),
    /** What a `/write` does with a key that exists, where the client does not say. */
    WRITE_ON_CONFLICT: setting.choice(CONFLICT_POLICIES, 'error'),
    /** Whether `/init` may drop another configuration with its data. */
    ALLOW_REINIT: setting.flag(false),
    /** How long a request waits for a leader or a shard before the client gets 503. */
    HOLD_MS: setting.int(10_000, 0, 600_000),
    /** That of the balancers: another one may lead only when the lease of one that died has run out. */
    LEASE_MS: setting.int(3_000, 300, 600_000),
    /** That of the balancers: for so long a change that is sent again is known. */
    OPERATION_HORIZON_S: setting.int(600, 1, 30 * 86_400),
    /** How long a record operation waits for its answer before the client gets 504. */
    REQUEST_TIMEOUT_MS: setting.int(15_000, 100, 600_000),
    /** The same for `/init`, `/add` and `/rm`, which move data. */
    ADMIN_TIMEOUT_MS: setting.int(60_000, 100, 3_600_000),
    /** How long a client of a range read may take nothing before it is cut off. */
    STALLED_CLIENT_MS: setting.int(60_000, 100, 3_600_000),
    /** Operations of one kind that may be under way, and the bytes of their rows; more get 503 at once. */
    MAX_OPS_UNDER_WAY: setting.int(20_000, 1, 1_000_000),
    MAX_BYTES_UNDER_WAY: setting.int(128 * MIB, MIB, 4_096 * MIB),
    /** Operations in one message to the leader. */
    MAX_OPS_PER_BATCH: setting.int(512, 1, 10_000),
    /** Messages of one kind that are out without any answer. */
    MAX_BATCHES_IN_FLIGHT: setting.int(1, 1, 1_000),
  })
  .refine((settings) => settings.MAX_BYTES_UNDER_WAY >= settings.BODY_LIMIT, {
    message: 'MAX_BYTES_UNDER_WAY is below BODY_LIMIT: a single large write could never be sent',
  })
  .refine(
    ({ HOLD_MS, REQUEST_TIMEOUT_MS, OPERATION_HORIZON_S }) =>
      OPERATION_HORIZON_S * 500 >= Math.max(HOLD_MS, REQUEST_TIMEOUT_MS),
    {
      message:
        'OPERATION_HORIZON_S must be at least twice as long as HOLD_MS and REQUEST_TIMEOUT_MS: a change that is sent again later would be carried out twice',
    },
  );

/** Settings by the names of their variables. */
export type GatewayConfig = z.infer<typeof GATEWAY_SETTINGS>;

/** @throws ConfigError with one line that says which setting is wrong and why */
export function parseGatewayConfig(env: NodeJS.ProcessEnv): GatewayConfig {
  return parseEnv(GATEWAY_SETTINGS, env);
}

/** What is allowed, yet hardly meant: one line each. */
export function configWarnings({ HOLD_MS, LEASE_MS }: GatewayConfig): string[] {
  if (HOLD_MS === 0 || HOLD_MS >= 2 * LEASE_MS) return [];
  return [
    `HOLD_MS is ${HOLD_MS}, less than twice LEASE_MS (${LEASE_MS}): when the leading balancer dies, requests fail before another one leads`,
  ];
}

/** Room that a message needs beside the rows: its header with every key. */
const HEADER_ROOM_BYTES = 64 * 1024;

/** @throws ConfigError when a body of the largest size would not fit into one message of the broker */
export function checkBodyLimit(bodyLimitBytes: number, maxPayloadBytes: number): void {
  if (bodyLimitBytes + HEADER_ROOM_BYTES <= maxPayloadBytes) return;
  throw new ConfigError(
    `wrong configuration: BODY_LIMIT is ${bodyLimitBytes}, which must stay ${HEADER_ROOM_BYTES} below the max_payload of the NATS server, ` +
      `${maxPayloadBytes}: lower BODY_LIMIT, or raise max_payload`,
  );
}
