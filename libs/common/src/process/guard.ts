/**
 * Starts a program that is not ours (nats-server, postgres) so that it cannot outlive us.
 *
 * A tiny POSIX shell stands between: it waits for the program and, on the side, for the end of its standard input, which
 * comes when our process ends for whatever reason, SIGKILL included. Then it sends the program `endSignal`. It works
 * alike on Linux and macOS, where nothing informs a child of its parent's death.
 */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { programEnvironment } from './environment';

const GUARD = `
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
{ cat <&3 >/dev/null 2>&1; kill -s "$GUARD_SIGNAL" "$program" 2>/dev/null; } </dev/null >/dev/null 2>&1 &
watcher=$!
exec 3<&-
trap 'kill -s TERM "$program" 2>/dev/null' TERM
trap 'kill -s INT "$program" 2>/dev/null' INT
trap 'kill -s QUIT "$program" 2>/dev/null' QUIT
while :; do
  wait "$program"
  status=$?
  kill -0 "$program" 2>/dev/null || break
done
kill "$watcher" 2>/dev/null
exit "$status"
`;

/**
 * Spawns `program` under guard. The returned child is the shell: TERM, INT and QUIT sent to it reach the program, and it
 * exits with the program's status. Its standard input is the tie to us and must not be ended by hand, except to end the
 * program with `endSignal`. With `detached` both get a process group of their own, which the child's pid names, so that a
 * Ctrl-C at the terminal does not reach them.
 */
export function spawnGuarded(
  program: string,
  args: readonly string[],
  endSignal: 'TERM' | 'INT' | 'QUIT' | 'KILL',
  options: Pick<SpawnOptions, 'cwd' | 'uid' | 'gid' | 'detached'> & {
    stdout?: 'ignore' | 'pipe' | number;
  } = {},
): ChildProcess {
  const { stdout = 'ignore', ...rest } = options;
  return spawn('/bin/sh', ['-c', GUARD, 'guard', program, ...args], {
    ...rest,
    env: { ...programEnvironment(), GUARD_SIGNAL: endSignal },
    stdio: ['pipe', stdout, stdout],
  });
}
