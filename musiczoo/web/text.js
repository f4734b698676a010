// Numbers as people read them, and words as people type them.

/** A share of 1, such as "83 %". */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** Seconds as "m:ss", from an hour on as "h:mm:ss". */
export function clock(seconds) {
  const whole = Math.floor(seconds), two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** The name of a file without its folders and its ending. */
export const stem = (path) => path.slice(path.lastIndexOf("/") + 1).replace(/(.)\.[^.]*$/, "$1");

const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** A search box's function: query -> Uint8Array of which texts hold all its words, or null for no query. Accents and case do not count. */
export function finder(texts) {
  const haystacks = texts.map(folded);
  return (query) => {
    const words = folded(query).split(/\s+/).filter(Boolean);
    return words.length ? Uint8Array.from(haystacks, (text) => words.every((word) => text.includes(word))) : null;
  };
}
