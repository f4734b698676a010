// Numbers as people read them, and elements that hold text: nothing is ever put into the page as markup.
export const percent = (share) => `${Math.round(share * 100)} %`;

export function clock(seconds) {
  const whole = Math.floor(seconds), two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** A bar filled to a share of its length, for the eye alone. */
export function bar(share) {
  const made = element("span", undefined, "bar"), fill = element("i");
  made.setAttribute("aria-hidden", "true");
  fill.style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
  made.append(fill);
  return made;
}
