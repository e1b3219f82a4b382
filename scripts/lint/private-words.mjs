// The words of our own that texts for readers do without: `private-words.txt` is the list.
import { readFileSync } from 'node:fs';

const LIST = new URL('private-words.txt', import.meta.url);

/** One line of the list: a pattern for all forms of a word, and what to say instead. */
function entryOf(line) {
  const [forms, instead] = line.split('=>').map((part) => part.trim());
  if (!forms || !instead) throw new Error(`private-words.txt: "${line}" is not "word | other form => replacement"`);
  const patterns = forms.split('|').map((form) => form.trim().replace(/\s+/g, '\\s+'));
  return { pattern: new RegExp(`(?<![\\w-])(?:${patterns.join('|')})(?![\\w-])`, 'gi'), instead };
}

const ENTRIES = readFileSync(LIST, 'utf8')
  .split('\n')
  .filter((line) => line.trim() !== '' && !line.startsWith('#'))
  .map(entryOf);

/** Every private word in a text: `{ index, word, instead }`, by their place. */
export function privateWordsIn(text) {
  const found = ENTRIES.flatMap(({ pattern, instead }) =>
    [...text.matchAll(pattern)].map(({ index, 0: word }) => ({ index, word: word.replace(/\s+/g, ' '), instead })),
  );
  return found.sort((a, b) => a.index - b.index);
}

/** ESLint rule: texts in sources (strings with a space in them) use the field's words. */
export const plainTexts = {
  meta: {
    type: 'suggestion',
    docs: { description: "texts for users use the field's words" },
    messages: { word: '"{{word}}" is a word of our own: say "{{instead}}" (scripts/lint/private-words.txt).' },
    schema: [],
  },
  create(context) {
    function check(node, text) {
      if (!/\s/.test(text.trim())) return;
      for (const { word, instead } of privateWordsIn(text)) {
        context.report({ node, messageId: 'word', data: { word, instead } });
      }
    }
    return {
      Literal(node) {
        if (typeof node.value === 'string') check(node, node.value);
      },
      // As a whole, so that `told ${server}` is seen, too.
      TemplateLiteral(node) {
        check(node, node.quasis.map(({ value }) => value.cooked).join('…'));
      },
    };
  },
};
