// How a text is split, made of the answer of `/v1/tokens`: parts to show. Nothing here touches the document.

/** Parts of the text in order: {text} between words, or {text, words: [{word, left_out}]}. */
export function partsOf(text, tokens) {
  // Places count code points, strings of JavaScript do not.
  const characters = [...text];
  const parts = [];
  let place = 0;
  for (const token of tokens) {
    const last = parts.at(-1);
    if (last?.words && token.start < place) {
      last.words.push(token);
      if (token.end > place) {
        last.text += characters.slice(place, token.end).join("");
        place = token.end;
      }
      continue;
    }
    if (token.start > place) parts.push({ text: characters.slice(place, token.start).join("") });
    parts.push({ text: characters.slice(token.start, token.end).join(""), words: [token] });
    place = token.end;
  }
  if (place < characters.length) parts.push({ text: characters.slice(place).join("") });
  return parts;
}

/** What was found, in a sentence. */
export function foundText({ words, tokens, profile }) {
  const counted = Object.values(words).reduce((a, b) => a + b, 0), different = Object.keys(words).length, left = tokens.length - counted;
  const said = `${counted} ${counted === 1 ? "word" : "words"}${counted === different ? "" : `, ${different} different`}`;
  return `${said}${left ? `, ${left} left out` : ""}. Profile ${profile}.`;
}
