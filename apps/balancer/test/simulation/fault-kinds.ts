/** Everything that may go wrong, by name. */

/** Those of any world. */
export const COMMON_FAULTS = [
  'server ends',
  'server restarts',
  'server loses disk',
  'server pauses',
  'server alone',
  'server half deaf',
  'server far from leader',
  'disk full',
  'leader ends',
  'leader stops',
  'leader pauses',
  'leader alone',
  'leader half deaf',
  'leader far from bucket',
  'two sides',
  'standby pauses',
  'bucket away',
  'bucket rolled back',
  'gateway ends',
  'power cut',
] as const;

/** Those of worlds that are made for them. */
export const SPECIAL_FAULTS = [
  /** For a while nobody can say whether a commit happened. */
  'disk in doubt',
  /** It never comes back, and cannot be started again. */
  'server dies for good',
  /** Everything in the bucket is gone. */
  'bucket lost',
  /** The bucket is rolled back, the leader ends, and fewer than half of the servers are away for longer than anybody waits for them. */
  'disaster',
  /** The same, after a server has ended and no other has heard of any change of a configuration since: all else gets through. */
  'disaster unannounced',
  /** All servers of one shard are away, or the leader cannot reach them. */
  'shard away',
  'shard far from leader',
  /** A server comes back without its disk while the leader hears of no other; then that leader ends. */
  'disk lost unseen',
  /** Requests for copies arrive at a server a second time, long after they were given up. */
  'copies come again',
  /** Configurations, and requests for tables, arrive at a server a second time; once one is in force its disk is lost unseen. */
  'tables come again',
  /** The bucket is rolled back to before a leader's claim, of which it does not hear; its rounds arrive when another one has its epoch. */
  'epoch given twice',
  /** What a leader stores of shards while a server comes back gets to the bucket when another one has led for long, without that server. */
  'last words late',
] as const;

export type FaultKind = (typeof COMMON_FAULTS)[number] | (typeof SPECIAL_FAULTS)[number];

/** Those that need a long time to heal, so that they happen seldom. */
export const RARE_FAULTS: readonly FaultKind[] = [
  'power cut',
  'bucket rolled back',
  'bucket lost',
  'disaster',
  'epoch given twice',
  'last words late',
  'server dies for good',
];
