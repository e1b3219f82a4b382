/**
 * The rooms of each floor (a folder), from the top down: a room imports those below it, never one above or beside it. `.` stands for the
 * files that lie in the folder itself. Rooms in one line stand side by side.
 */
const ROOMS = {
  'apps/gateway/src': [['runtime'], ['http'], ['bus'], ['rows'], ['core']],
  'apps/gateway/src/http': [['records', 'cluster', 'system'], ['openapi'], ['.']],
  'apps/gateway/src/bus': [['batching', 'ranges'], ['.']],
  'apps/balancer/src': [['runtime'], ['adapters'], ['ports'], ['core']],
  'apps/balancer/src/core': [
    ['.'],
    ['membership', 'leadership'],
    ['healing'],
    ['requests'],
    ['replicas'],
    ['cluster'],
    ['detection'],
    ['kernel'],
  ],
  'apps/balancer/src/adapters': [['nats', 'hash', 'process', 'docker'], ['launching']],
  'apps/shard-node/src': [['runtime'], ['adapters'], ['ports'], ['core'], ['config']],
  'apps/shard-node/src/adapters': [['postgres', 'memory', 'nats', 'embedded-postgres']],
  'apps/shard-node/src/adapters/postgres': [['.'], ['pages', 'migrations'], ['sql'], ['entities']],
  'apps/local/src': [['demo'], ['cli'], ['supervision'], ['.']],
  'libs/common/src': [['testing'], ['nats'], ['process'], ['config', 'logging', 'protocol', 'waiting'], ['contracts']],
};

/** The files of a room, as a regular expression. */
function filesOf(floor, room) {
  return room === '.' ? `^${floor}/[^/]+$` : `^${floor}/${room}/`;
}

/** What each room may not import, and that there is no room beside the named ones. Tests import what they test. */
function roomRules(tests) {
  return Object.entries(ROOMS).flatMap(([floor, levels]) => {
    const shown = levels.map((rooms) => rooms.join(' ')).join(' > ');
    const rule = { severity: 'error', comment: `A room imports those below it (scripts/rooms.cjs): ${shown}` };
    const name = `rooms-of-${floor.replaceAll('/', '-')}`;
    const named = levels.flat().map((room) => filesOf(floor, room));
    const unnamed = { path: `^${floor}/`, pathNot: [...named, tests] };
    return [
      { ...rule, name: `${name}-are-named`, from: unnamed, to: {} },
      { ...rule, name: `${name}-are-named`, from: {}, to: unnamed },
      ...levels.flatMap((level, height) =>
        level.flatMap((room) => {
          const closed = levels.slice(0, height + 1).flat();
          const others = closed.filter((other) => other !== room).map((other) => filesOf(floor, other));
          // An empty list would forbid every import.
          if (others.length === 0) return [];
          return [{ ...rule, name, from: { path: filesOf(floor, room), pathNot: tests }, to: { path: others } }];
        }),
      ),
    ];
  });
}

module.exports = { ROOMS, roomRules };
