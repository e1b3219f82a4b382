/**
 * As whom Postgres runs.
 *
 * Postgres refuses to run as root, yet containers and fresh machines are used as root all the time. Then it runs as
 * `nobody`, who owns the data. Often `nobody` cannot even get to it, since a folder above (`mktemp -d`, a checkout under
 * /root) lets only root through: on Linux it then keeps the one capability that opens such doors.
 */
import { execFile } from 'node:child_process';
import { chown } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { PostgresUnavailableError } from './binaries';
import { programEnvironment } from '#common/process/environment';

const CHECK_TIMEOUT_MS = 20_000;

/** A program to spawn, and as whom. */
export interface Invocation {
  program: string;
  args: string[];
  uid?: number;
  gid?: number;
}

/** The user that Postgres runs as. */
export interface RunAs {
  uid: number;
  /** How to start a program as this user. */
  invoke(program: string, args: readonly string[]): Invocation;
  /** Gives a file or an empty folder to this user. */
  own(path: string): Promise<void>;
}

/** We are not root: Postgres runs as we do. */
const asOurselves = (uid: number): RunAs => ({
  uid,
  invoke: (program, args) => ({ program, args: [...args] }),
  own: () => Promise.resolve(),
});

/**
 * Decides as whom Postgres runs.
 *
 * @param postgres its program, which the user must be able to run
 * @param folder one of our own folders, existing, that the user must be able to get to
 * @throws PostgresUnavailableError when we are root and `nobody` cannot reach them
 */
export async function chooseUser(postgres: string, folder: string): Promise<RunAs> {
  const ours = process.getuid?.() ?? -1;
  if (ours !== 0) return asOurselves(requireName(ours));
  const uid = await idOfNobody('-u');
  const gid = await idOfNobody('-g');
  const candidates = [asNobody(uid, gid), ...(process.platform === 'linux' ? [asNobodyThroughDoors(uid, gid)] : [])];
  for (const candidate of candidates) if (await canReach(candidate, postgres, folder)) return candidate;
  throw new PostgresUnavailableError(
    `Postgres does not run as root, and the user nobody, as whom it runs instead, cannot reach ${postgres} and ${folder}: ` +
      'start as another user, or open the folders above them (chmod o+x)',
  );
}

/** initdb wants to know what its user is called; in containers there are users without a name. */
function requireName(uid: number): number {
  try {
    userInfo();
    return uid;
  } catch (cause) {
    const hint = 'add the user, run as another one, or set DATABASE_URL to a Postgres of your own';
    throw new PostgresUnavailableError(`Postgres needs a user with a name, and user id ${uid} has none: ${hint}`, {
      cause,
    });
  }
}

function asNobody(uid: number, gid: number): RunAs {
  // Node takes ids as signed numbers here; on macOS nobody is 4294967294, which is -2.
  return {
    uid,
    invoke: (program, args) => ({ program, args: [...args], uid: uid | 0, gid: gid | 0 }),
    own: owner(uid, gid),
  };
}

/** As nobody, with the capability to pass folders that are closed to others. */
function asNobodyThroughDoors(uid: number, gid: number): RunAs {
  const become = [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
    // Else access(2), by which Postgres looks for its own programs, leaves the capability out of account.
    '--securebits=+no_setuid_fixup',
  ];
  return {
    uid,
    invoke: (program, args) => ({ program: 'setpriv', args: [...become, '--', program, ...args] }),
    own: owner(uid, gid),
  };
}

function owner(uid: number, gid: number): (path: string) => Promise<void> {
  return (path) => chown(path, uid, gid);
}

/** Tries it, which is right also where modes alone do not show it (ACLs, namespaces, a library that lacks). */
async function canReach(user: RunAs, postgres: string, folder: string): Promise<boolean> {
  const { program, args, ...as } = user.invoke('/bin/sh', ['-c', 'cd "$1" && "$2" --version', 'sh', folder, postgres]);
  return (await runProgram(program, args, as)) !== undefined;
}

async function idOfNobody(flag: '-u' | '-g'): Promise<number> {
  const id = Number((await runProgram('id', [flag, 'nobody'], {}))?.trim());
  if (Number.isInteger(id) && id !== 0) return id >>> 0;
  throw new PostgresUnavailableError(
    'Postgres does not run as root, and there is no user nobody: start as another user',
  );
}

/** What the program wrote; undefined when it failed. */
function runProgram(program: string, args: string[], as: { uid?: number; gid?: number }): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { ...as, cwd: '/', env: programEnvironment(), timeout: CHECK_TIMEOUT_MS };
    execFile(program, args, options, (error, stdout) => {
      resolve(error === null ? stdout : undefined);
    });
  });
}
