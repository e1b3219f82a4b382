/**
 * Which decisions of a source file can be switched off, one by one.
 *
 * The operators are the usual ones of mutation testing that remove logic: a condition that never holds, an operand of `&&` and `||`
 * that no longer matters, a predicate that lets everything pass, an operand of `Math.max` and `Math.min` that is not looked at.
 * (Offutt and others, "An Experimental Determination of Sufficient Mutant Operators", 1996.)
 */
import ts from 'typescript';

/** What stands in place of the guarded expression while the guard is off; written as source text. */
export type Neutral = 'true' | 'false' | '-Infinity' | 'Infinity';

/** One expression that can be switched off. */
export interface Guard {
  /** Unique within one run; the same for the same sources. */
  id: number;
  /** Path from the root of the checkout. */
  file: string;
  /** From 1 on. */
  line: number;
  /** Offsets of the expression in the file's text. */
  start: number;
  end: number;
  neutral: Neutral;
  /** The expression, on one line. */
  text: string;
}

type Found = Omit<Guard, 'id' | 'file'>;

const PREDICATE_METHODS = new Set(['filter', 'some', 'every', 'find', 'findIndex', 'findLast']);

/** Every guard of the file, in the order of their places; ids count from `firstId` on. */
export function findGuards(file: string, text: string, firstId: number): Guard[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  const found = new Map<string, Found>();
  const add = (node: ts.Expression, neutral: Neutral): void => {
    const [start, end] = [node.getStart(source), node.getEnd()];
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    const shown = node.getText(source).replace(/\s+/g, ' ');
    found.set(`${start} ${end} ${neutral}`, { line, start, end, neutral, text: shown });
  };
  const visit = (node: ts.Node): void => {
    for (const [expression, neutral] of guardsAt(node)) add(expression, neutral);
    ts.forEachChild(node, visit);
  };
  visit(source);
  const inOrder = [...found.values()].sort((a, b) => a.start - b.start || b.end - a.end);
  return inOrder.map((guard, index) => ({ ...guard, id: firstId + index, file }));
}

/** The guards that this very node makes of its parts. */
function guardsAt(node: ts.Node): [ts.Expression, Neutral][] {
  if (ts.isIfStatement(node)) return [[node.expression, 'false']];
  if (ts.isConditionalExpression(node)) return [[node.condition, 'false']];
  if (ts.isBinaryExpression(node)) return isChoice(node) ? operandsOf(node) : [];
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return [];
  const method = node.expression.name.text;
  if (PREDICATE_METHODS.has(method)) return predicatesOf(node);
  const isMath = ts.isIdentifier(node.expression.expression) && node.expression.expression.text === 'Math';
  if (!isMath || (method !== 'max' && method !== 'min') || node.arguments.length < 2) return [];
  const neutral = method === 'max' ? '-Infinity' : 'Infinity';
  return node.arguments.filter(isOperandOfExtreme).map((argument) => [argument, neutral]);
}

/** Operands of `&&` and `||`; a chain of numbers as in comparing functions is no guard. */
function operandsOf(node: ts.BinaryExpression): [ts.Expression, Neutral][] {
  const neutral = node.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken ? 'true' : 'false';
  if ([node.left, node.right].some(isDifference)) return [];
  return [node.left, node.right].filter((operand) => !isSameChoice(operand, node)).map((one) => [one, neutral]);
}

function isChoice(node: ts.BinaryExpression): boolean {
  const { kind } = node.operatorToken;
  return kind === ts.SyntaxKind.AmpersandAmpersandToken || kind === ts.SyntaxKind.BarBarToken;
}

/** `a && b && c` is `(a && b) && c`: its operands are a, b and c. */
function isSameChoice(operand: ts.Expression, of: ts.BinaryExpression): boolean {
  return ts.isBinaryExpression(operand) && operand.operatorToken.kind === of.operatorToken.kind;
}

function isDifference(operand: ts.Expression): boolean {
  return ts.isBinaryExpression(operand) && operand.operatorToken.kind === ts.SyntaxKind.MinusToken;
}

/** The body of `(one) => condition`, which then lets everything pass. */
function predicatesOf(node: ts.CallExpression): [ts.Expression, Neutral][] {
  const [predicate] = node.arguments;
  if (predicate === undefined || !ts.isArrowFunction(predicate) || ts.isBlock(predicate.body)) return [];
  return [[predicate.body, 'true']];
}

/** A spread has no single value, and a number that is written out is a bound of the formula, no rule. */
function isOperandOfExtreme(argument: ts.Expression): boolean {
  return !ts.isSpreadElement(argument) && !ts.isNumericLiteral(argument);
}

/** The text with every guard behind a switch: `expression` becomes `__guard(id, expression, neutral)`. */
export function instrument(text: string, guards: readonly Guard[]): string {
  const insertions: { at: number; order: number; text: string }[] = [];
  for (const { id, start, end, neutral } of guards) {
    // Of guards that begin together the longest opens first; of those that end together the shortest closes first.
    insertions.push({ at: start, order: -end, text: `__guard(${id}, ` });
    insertions.push({ at: end, order: -start - text.length, text: `, ${neutral})` });
  }
  insertions.sort((a, b) => a.at - b.at || a.order - b.order);
  let instrumented = '';
  let done = 0;
  for (const insertion of insertions) {
    instrumented += text.slice(done, insertion.at) + insertion.text;
    done = insertion.at;
  }
  return instrumented + text.slice(done);
}
