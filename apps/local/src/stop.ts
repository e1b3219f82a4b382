/** `stop`: end the cluster of a data directory. */
import { stopLauncher } from './control';
import { DataDir } from './data-dir';
import type { Options } from './options';
import { Refusal } from './refusal';
import type { Terminal } from './terminal';

/** Every part has its own deadline; all of them together stay below this. */
const STOP_DEADLINE_MS = 60_000;

/** Resolves when the cluster is gone, or when there was none. @throws Refusal when it does not end */
export async function stopCluster(options: Options, terminal: Terminal): Promise<number> {
  const launcher = await new DataDir(options.dataDir, options.shownDataDir).launcher();
  if (launcher === undefined) {
    terminal.say(`no cluster runs on ${options.shownDataDir}`);
    return 0;
  }
  if (!(await stopLauncher(launcher.controlSocket, STOP_DEADLINE_MS))) {
    throw new Refusal(`the cluster on ${options.shownDataDir} (launcher ${launcher.pid}) does not stop`);
  }
  terminal.say(`stopped the cluster on ${options.shownDataDir}; its data stays there`);
  return 0;
}
