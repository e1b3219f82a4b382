/** A copy of the checkout in which every guard stands behind a switch. */
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { findGuards, instrument, type Guard } from './guards';

/** Where decisions are made: the cores, the rules of the protocol, and the parts of a replica that every world runs. */
const GUARDED = [
  /^apps\/(balancer|shard-node)\/src\/core\/.*\.ts$/,
  /^libs\/common\/src\/protocol\/.*\.ts$/,
  /^apps\/shard-node\/src\/runtime\/(replica|apply-step|guarded-state|catch-up)\.ts$/,
];
const SPEC = /\.(spec|e2e-spec)\.ts$/;
const COMPILED = /^(apps|libs)\/.*\.ts$/;

/** The tree with its guards. */
export interface GuardedTree {
  root: string;
  guards: readonly Guard[];
}

/**
 * Copies what git tracks from `checkout` to `root`, which is recreated, puts switches into the guarded files, and compiles all
 * that is no test for Jest into `root/dist`. Types are not checked: `make typecheck` does that.
 */
export function makeTree(checkout: string, root: string): GuardedTree {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: checkout });
  const files = listed.toString().split('\n').filter(Boolean);
  const guards: Guard[] = [];
  for (const file of files) {
    const target = join(root, file);
    mkdirSync(dirname(target), { recursive: true });
    if (!file.endsWith('.ts')) {
      cpSync(join(checkout, file), target);
      continue;
    }
    let text = readFileSync(join(checkout, file), 'utf8');
    if (!SPEC.test(file) && GUARDED.some((pattern) => pattern.test(file))) {
      const found = findGuards(file, text, guards.length);
      text = instrument(text, found);
      guards.push(...found);
    }
    writeFileSync(target, text);
    if (COMPILED.test(file) && !SPEC.test(file)) compile(root, file, text);
  }
  symlinkSync(join(checkout, 'node_modules'), join(root, 'node_modules'));
  return { root, guards };
}

function compile(root: string, file: string, text: string): void {
  const compilerOptions: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.CommonJS,
    esModuleInterop: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
  };
  const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: file });
  const target = join(root, 'dist', file.replace(/\.ts$/, '.js'));
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, outputText);
}
