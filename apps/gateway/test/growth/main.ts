/** Measures how the gateway's work grows, in a process of its own: what Jest adds to every call and object would be measured, too. */
import { CASES } from './cases';

for (const [name, faultOf] of Object.entries(CASES)) process.stdout.write(`${JSON.stringify([name, faultOf()])}\n`);
