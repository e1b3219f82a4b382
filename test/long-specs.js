/** Which specs beside the code are more than a second of one process, as patterns of their paths. */

/** Start a Postgres, a nats-server, a compiler or programs of their own. */
const WITH_PROCESSES = [
  'apps/balancer/src/adapters/(nats|process)/',
  'apps/gateway/src/bus/',
  'apps/gateway/src/runtime/gateway[.]spec',
  'apps/gateway/test/growth/',
  'apps/local/test/',
  'apps/shard-node/src/adapters/(embedded-postgres|postgres)/',
  'apps/shard-node/src/runtime/shard-node[.]spec',
  'apps/shard-node/test/(many-shards|replica-history)[.]spec',
  'libs/common/src/nats/(damaged-store|nats-server-binary)[.]spec',
  'libs/common/src/process/',
  'libs/common/src/testing/nats-server[.]spec',
];

/** Try so much that they take most of a minute. */
const LONG = ['apps/balancer/test/(cost|exploration|mutation)/', 'apps/balancer/test/simulation/simulation[.]spec'];

module.exports = { LONG, WITH_PROCESSES };
