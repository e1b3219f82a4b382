/**
 * What a failure of Postgres says, by its SQLSTATE: one verdict for every class, and for the codes that differ from their class.
 *
 * `data`: what was to be stored is at fault. Every replica refuses it, and nothing of the transaction happened.
 * `resource`: Postgres could not do it now (no room, no memory, too late, in somebody's way). Nothing of the transaction happened.
 * `broken`: the connection, the database or the server is not what we need. What became of the transaction may be unknown.
 */
export type Verdict = 'data' | 'resource' | 'broken';

/** Classes, the first two characters of a code. What does not stand here is `broken`, and so is a failure without a code. */
const CLASSES: Readonly<Record<string, Verdict>> = {
  '08': 'broken', // connection exception
  '09': 'data', // triggered action exception
  '0A': 'broken', // feature not supported: a plan that no longer fits its table, for instance
  '0B': 'broken', // invalid transaction initiation
  '0L': 'broken', // invalid grantor
  '0P': 'broken', // invalid role
  '21': 'data', // cardinality violation
  '22': 'data', // data exception
  '23': 'data', // integrity constraint violation
  '25': 'broken', // invalid transaction state: read only, for instance, since it is a standby
  '26': 'broken', // invalid statement name: somebody between us and Postgres swaps connections
  '27': 'data', // triggered data change violation
  '28': 'broken', // invalid authorization
  '34': 'broken', // invalid cursor name
  '39': 'data', // external routine invocation exception: a trigger failed
  '3D': 'broken', // invalid catalog name
  '3F': 'broken', // invalid schema name
  '40': 'resource', // transaction rollback: deadlock, serialization
  '42': 'broken', // a table, a column or a right is missing
  '44': 'data', // check option violation
  '53': 'resource', // no disk, memory, connections
  '54': 'data', // a program limit: a row that no page takes, values nested too deeply
  '55': 'resource', // object not in prerequisite state: locked
  '57': 'broken', // operator intervention: shut down, crashed, starting
  '58': 'broken', // system error: I/O
  F0: 'broken', // configuration file
  HV: 'broken', // foreign data
  P0: 'data', // raised by a trigger
  XX: 'broken', // internal error, corrupted data
};

const CODES: Readonly<Record<string, Verdict>> = {
  '40003': 'broken', // statement completion unknown
  '42601': 'data', // what follows is about the names and types of a table that is to be made
  '42602': 'data',
  '42611': 'data',
  '42622': 'data',
  '42701': 'data',
  '42939': 'data',
  '42P16': 'data',
  '55000': 'broken', // the object is not what it should be
  '55P02': 'broken', // a setting cannot be changed
  '57014': 'resource', // cancelled: it took longer than `statement_timeout`
};

/** @param code a SQLSTATE; anything else counts as no code */
export function verdictOn(code: unknown): Verdict {
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return 'broken';
  return CODES[code] ?? CLASSES[code.slice(0, 2)] ?? 'broken';
}
