/** What the tests of the gateway ask for, and what its answers must look like. */

/** The published configuration. */
export const PUBLISHED = {
  N: 3,
  schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
  shards: [
    { Stud_id_low: 0, Shard_id: 'sh1', Shard_size: 4096 },
    { Stud_id_low: 4096, Shard_id: 'sh2', Shard_size: 4096 },
    { Stud_id_low: 8192, Shard_id: 'sh3', Shard_size: 4096 },
  ],
  servers: { Server0: ['sh1', 'sh2'], Server1: ['sh2', 'sh3'], Server2: ['sh1', 'sh3'] },
};

export const student = (id: number, name = `name ${id}`, marks = '50'): Record<string, unknown> => ({
  Stud_id: id,
  Stud_name: name,
  Stud_marks: marks,
});

/** What every failure looks like. */
export const failure = (status: number, message = /./): unknown =>
  expect.objectContaining({
    status,
    body: {
      status: 'failure',
      message: expect.stringMatching(new RegExp(`^<Error> .*${message.source}`, 's')) as string,
    },
  });

export const success = (body: object): unknown => expect.objectContaining({ status: 200, body });
