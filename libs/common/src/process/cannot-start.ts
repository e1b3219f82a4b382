/** A service cannot start, and a person can do something about it. The message is one line: what is wrong, where, and what to do. */
export class CannotStartError extends Error {
  override readonly name: string = 'CannotStartError';
}
