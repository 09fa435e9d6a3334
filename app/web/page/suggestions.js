// Which words are suggested for what was typed. Nothing here touches the document.

export const MOST = 8;

/** Prefixes to look for: profiles that fold case store small letters, others keep capitals. */
export function prefixesOf(typed) {
  return [...new Set([typed, typed.toLowerCase()])];
}

/**
 * Words to suggest, the most frequent first.
 *
 * @param frequent the most frequent words of all; @param found words by prefix in the order of bytes, of which there may be many more.
 */
export function suggestions(typed, frequent, found) {
  const prefixes = prefixesOf(typed);
  const counts = new Map();
  for (const { word, count } of [...frequent, ...found]) {
    if (prefixes.some((prefix) => word.startsWith(prefix))) counts.set(word, Math.max(count, counts.get(word) ?? 0));
  }
  const isExact = (word) => prefixes.includes(word);
  return [...counts]
    .map(([word, count]) => ({ word, count }))
    .sort((a, b) => isExact(b.word) - isExact(a.word) || b.count - a.count || (a.word < b.word ? -1 : 1))
    .slice(0, MOST);
}
