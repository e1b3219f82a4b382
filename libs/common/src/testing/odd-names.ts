/** Names that a key may have although a statement, SQL, a body of HTTP or JavaScript means something else by them. */
export const ODD_KEYS: readonly string[] = [
  'j',
  'c',
  'k',
  'part',
  'int8',
  'low',
  'Shard_id',
  'order',
  'excluded',
  'constructor',
  'stud_id',
  'A'.repeat(63),
];
