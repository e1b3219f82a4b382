/** How our processes end when not all was well: EX_USAGE, EX_UNAVAILABLE and EX_CONFIG of sysexits.h. */
export const EXIT = {
  failed: 1,
  usage: 64,
  /** What it needs is not there or is in use. Of a service: its launcher is gone. */
  unavailable: 69,
  /** Its configuration is wrong, and will be the next time. */
  config: 78,
} as const;
