/** The environment as a typed object: parsed once, checked, and refused with one line that says which and why. */
import { z } from 'zod';

/** Kinds of settings that several services share. */
export const setting = {
  /** A whole number within bounds. */
  int: (fallback: number, min: number, max: number) => z.coerce.number().int().min(min).max(max).default(fallback),
  number: (fallback: number, min: number, max: number) => z.coerce.number().min(min).max(max).default(fallback),
  text: (fallback: string) => z.string().min(1).default(fallback),
  flag: (fallback: boolean) =>
    z
      .enum(['true', 'false', '1', '0'])
      .transform((value) => value === 'true' || value === '1')
      .default(fallback),
  choice: <const C extends readonly [string, ...string[]]>(choices: C, fallback: C[number]) =>
    z.enum(choices).default(fallback as never),
  /** Comma-separated server addresses. */
  servers: (fallback: string) =>
    z
      .string()
      .default(fallback)
      .transform((value) =>
        value
          .split(',')
          .map((server) => server.trim())
          .filter((server) => server !== ''),
      )
      .refine((servers) => servers.length > 0, 'at least one address is needed')
      .refine((servers) => servers.every(isServerAddress), 'an address looks like nats://host:4222'),
} as const;

function isServerAddress(server: string): boolean {
  return URL.canParse(server.includes('://') ? server : `nats://${server}`);
}

/** Settings of every service. */
export const COMMON_SETTINGS = {
  NATS_URL: setting.servers('nats://127.0.0.1:4222'),
  LOG_LEVEL: setting.choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
  /** Descriptor of the lifeline, which `Lifeline.hold` takes; the process ends when the launcher does. Unset: nobody to watch. */
  LIFELINE_FD: z.string().min(1).optional(),
} as const;

/** A setting is missing or wrong. The message is one line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Parses `env` by the shape; an empty variable counts as unset, one of white space alone too (it would be read as 0).
 *
 * @throws ConfigError with one line that names every wrong variable, its value and why
 */
export function parseEnv<S extends z.ZodType>(shape: S, env: NodeJS.ProcessEnv): z.infer<S> {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''),
  );
  const parsed = shape.safeParse(given);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => {
    const name = issue.path.map(String).join('.');
    const value = given[name];
    const found = value === undefined ? 'is not set' : `is ${JSON.stringify(value)}`;
    return name === '' ? issue.message : `${name} ${found}: ${issue.message}`;
  });
  throw new ConfigError(`wrong configuration: ${faults.join('; ')}`);
}
