/** The launcher: the whole cluster on one machine, as processes. `main.js [run|demo|stop] [--port …] [--data-dir …] [--nats-port …]` */
import { runDemo } from './src/demo/demo';
import { Refusal } from './src/refusal';
import { parseOptions, USAGE } from './src/cli/options';
import { runCluster } from './src/cli/run';
import { stopCluster } from './src/cli/stop';
import { Terminal } from './src/terminal';

async function main(): Promise<number> {
  const terminal = new Terminal(process.stdout, process.env);
  const options = parseOptions(process.argv.slice(2));
  switch (options.command) {
    case 'help':
      terminal.say(USAGE);
      return 0;
    case 'run':
      return runCluster(options, terminal);
    case 'demo':
      return runDemo(options, terminal);
    case 'stop':
      return stopCluster(options, terminal);
  }
}

main().then(
  (status) => {
    process.exit(status);
  },
  (error: unknown) => {
    const text = error instanceof Refusal ? error.message : error instanceof Error ? error.stack : String(error);
    process.stderr.write(`shardline: ${text}\n`);
    process.exit(error instanceof Refusal ? error.exitStatus : 1);
  },
);
