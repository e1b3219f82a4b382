/** The demo's records: the published example configuration, and ten thousand students in it, the same at every run. */

/** The published example of `/init`. */
export const EXAMPLE = {
  N: 3,
  schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
  shards: [
    { Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 4096 },
    { Stud_id_low: 4096, Shard_id: 'sh2', Shard_size: 4096 },
    { Stud_id_low: 8192, Shard_id: 'sh3', Shard_size: 4096 },
  ],
  servers: { Server0: ['sh1', 'sh2'], Server1: ['sh2', 'sh3'], Server2: ['sh1', 'sh3'] },
};
/** Keys from 0 up to here, this one excluded. */
export const KEYS = 3 * 4096;
export const STUDENT_COUNT = 10_000;

export interface Student {
  Stud_id: number;
  Stud_name: string;
  Stud_marks: string;
}

const GIVEN = [
  'Ada',
  'Alan',
  'Barbara',
  'Edsger',
  'Frances',
  'Grace',
  'John',
  'Katherine',
  'Leslie',
  'Mary',
  'Niklaus',
];
const FAMILY = ['Allen', 'Backus', 'Dijkstra', 'Hopper', 'Johnson', 'Lamport', 'Liskov', 'Lovelace', 'Turing', 'Wirth'];

/** The student of this index; their keys are spread evenly over all shards. */
export function student(index: number): Student {
  const given = GIVEN[index % GIVEN.length] ?? '';
  const family = FAMILY[Math.floor(index / GIVEN.length) % FAMILY.length] ?? '';
  return {
    Stud_id: Math.floor((index * KEYS) / STUDENT_COUNT),
    Stud_name: `${given} ${family}`,
    Stud_marks: String((index * 37) % 101),
  };
}
