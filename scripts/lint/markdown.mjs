// Keeps Markdown easy to read: lines of at most 100 characters (but in tables and code, and but for the targets of
// links), sentences under 30 words, cells of tables of at most 300 characters, and the field's words.
//   node scripts/lint/markdown.mjs [FILE…]    all pages and stories in Git when none is named; ends with 1 when it finds any
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parsers } from 'prettier/plugins/markdown';
import { privateWordsIn } from './private-words.mjs';

const MAX_LINE = 100;
const MAX_WORDS = 29;
const MAX_CELL = 300;

/** All nodes of a kind, outermost first; what is within one of them is not looked at again. */
function nodesOf(node, types) {
  if (types.includes(node.type)) return [node];
  return (node.children ?? []).flatMap((child) => nodesOf(child, types));
}

/** What a reader reads, as `{ text, line }` in pieces: code type counts as one word, the target of a link as none. */
function piecesOf(node) {
  const line = node.position.start.line;
  if (node.type === 'inlineCode') return [{ text: 'CODE', line }];
  if (node.type === 'text' || node.type === 'sentence') return [{ text: node.value ?? '', line }];
  if (node.type === 'html') return [{ text: ' ', line }];
  return (node.children ?? []).flatMap(piecesOf);
}

/** The text of a block, and on which line of the page each of its characters stands. */
function readBlock(block) {
  let text = '';
  const lines = [];
  for (const piece of piecesOf(block)) {
    let { line } = piece;
    for (const character of piece.text) {
      text += character;
      for (let unit = 0; unit < character.length; unit++) lines.push(line);
      if (character === '\n') line++;
    }
  }
  return { text, lines };
}

/** Sentences end with a full stop, a question mark or an exclamation mark before white space. */
function sentencesOf(text) {
  const ends = [...text.matchAll(/[.!?]["'”’)]*\s+/g)].map((match) => match.index + match[0].length);
  return [0, ...ends].map((start, at) => ({ start, text: text.slice(start, ends[at] ?? text.length) }));
}

function wordsOf(sentence) {
  return sentence.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
}

function longSentences({ text, lines }) {
  return sentencesOf(text).flatMap((sentence) => {
    const words = wordsOf(sentence.text);
    if (words.length <= MAX_WORDS) return [];
    const start = words.slice(0, 6).join(' ');
    return [{ line: lines[sentence.start], problem: `a sentence of ${words.length} words: "${start} …"` }];
  });
}

function privateWords({ text, lines }) {
  return privateWordsIn(text).map(({ index, word, instead }) => ({
    line: lines[index],
    problem: `"${word}" is a word of our own: say "${instead}" (scripts/lint/private-words.txt)`,
  }));
}

/** Numbers of the lines that tables, code and raw HTML take. */
function linesWithoutLimit(page) {
  const blocks = nodesOf(page, ['table', 'code', 'html']);
  return new Set(
    blocks.flatMap(({ position: { start, end } }) =>
      Array.from({ length: end.line - start.line + 1 }, (_, at) => start.line + at),
    ),
  );
}

function longLines(text, page) {
  const free = linesWithoutLimit(page);
  return text.split('\n').flatMap((content, at) => {
    const length = [...content.replace(/\]\([^)\s]*\)/g, ']()').replace(/https?:\/\/[^\s)>]+/g, '')].length;
    if (length <= MAX_LINE || free.has(at + 1)) return [];
    return [{ line: at + 1, problem: `a line of ${length} characters: at most ${MAX_LINE}` }];
  });
}

function longCells(page) {
  return nodesOf(page, ['tableCell']).flatMap((cell) => {
    const { text } = readBlock(cell);
    if (text.length <= MAX_CELL) return [];
    return [
      { line: cell.position.start.line, problem: `a cell of ${text.length} characters: make it a list or a section` },
    ];
  });
}

/** What is wrong with a page: `{ line, problem }`, from its top down. */
function findingsIn(text) {
  const page = parsers.markdown.parse(text, {});
  const found = [...longLines(text, page), ...longCells(page), ...wordingIn(page)];
  return found.sort((a, b) => a.line - b.line);
}

function wordingIn(page) {
  const blocks = nodesOf(page, ['paragraph', 'heading', 'tableCell']).map(readBlock);
  return [...blocks.flatMap(longSentences), ...blocks.flatMap(privateWords)];
}

/** Of a story about the protocol its prose, which stands above the commands and the recording. */
function findingsInStory(text) {
  return wordingIn(parsers.markdown.parse(text.split(/^---$/m)[0], {}));
}

const PAGES = ['*.md', 'apps/balancer/test/scenarios/*.txt'];
const named = process.argv.slice(2);
const files =
  named.length > 0
    ? named
    : execFileSync('git', ['ls-files', ...PAGES], { encoding: 'utf8' })
        .trim()
        .split('\n');
let count = 0;
for (const file of files) {
  const text = readFileSync(file, 'utf8');
  for (const { line, problem } of file.endsWith('.md') ? findingsIn(text) : findingsInStory(text)) {
    console.error(`${file}:${line}: ${problem}`);
    count++;
  }
}
if (count > 0) console.error(`${count} findings in Markdown and stories`);
process.exitCode = count > 0 ? 1 : 0;
