/** The configuration of the published experiments: 6 servers, 4 shards, 3 replicas each. */

/** @param size keys per shard */
export function sixServers(size = 4096): object {
  const shards = ['sh1', 'sh2', 'sh3', 'sh4'].map((id, index) => ({
    Stud_id_low: index * size,
    Shard_id: id,
    Shard_size: size,
  }));
  return {
    N: 6,
    schema: { columns: ['Stud_id', 'Stud_name', 'Stud_marks'], dtypes: ['Number', 'String', 'String'] },
    shards,
    servers: {
      Server0: ['sh1', 'sh2'],
      Server1: ['sh3', 'sh4'],
      Server3: ['sh1', 'sh3'],
      Server4: ['sh4', 'sh2'],
      Server5: ['sh1', 'sh4'],
      Server6: ['sh3', 'sh2'],
    },
  };
}
