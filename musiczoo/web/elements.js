// Elements of a page. Names from files are only ever written as text, never as markup.
import { percent } from "./text.js";

export const $ = (id) => document.getElementById(id);

export function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** A button that looks like a link and leads to a song. */
export function link(title, onClick, path) {
  const made = Object.assign(element("button", title, "song"), { type: "button" });
  if (path) made.title = path;
  made.addEventListener("click", onClick);
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

/** A dimension and its tags: { name, probability, above } each, where `above` is whether it reaches its threshold. */
export function tagGroup(dimension, tags) {
  const group = element("div"), list = element("ul");
  for (const { name, probability, above } of tags) {
    const row = element("li", undefined, above ? "tag above" : "tag"), label = element("span", name);
    if (above) label.append(element("span", " (predicted)", "unseen"));
    row.append(label, bar(probability), element("span", percent(probability), "number"));
    list.append(row);
  }
  group.append(element("h4", dimension), list);
  return group;
}

/**
 * The cosine in each dimension as bars; those that do not count (weight 0) are pale.
 * @param {Record<string, number>} dimensions
 * @param {Record<string, number>} weights
 * @param {([name, cosine]) => [number, string]} shown The share of a bar that is filled, and the text beside it.
 */
export function cosines(dimensions, weights = {}, shown = ([, cosine]) => [cosine, cosine.toFixed(2)]) {
  const made = element("div", undefined, "cosines");
  for (const [name, cosine] of Object.entries(dimensions)) {
    const part = element("span", undefined, weights[name] === 0 ? "mute" : ""), [share, text] = shown([name, cosine]);
    part.title = `cosine ${cosine.toFixed(3)}`;
    part.append(element("span", name), bar(share), element("span", text, "number"));
    made.append(part);
  }
  return made;
}

/** A slider from 0 to 100 in its label; it calls `onInput(value)` while it moves and `onChange()` when it is let go. */
export function slider(name, value, onInput, onChange) {
  const label = element("label"), made = element("input"), shown = element("output", value, "number");
  Object.assign(made, { type: "range", min: 0, max: 100, step: 5, value, name });
  made.addEventListener("input", () => {
    shown.textContent = made.value;
    onInput(Number(made.value));
  });
  made.addEventListener("change", onChange);
  label.append(element("span", name), made, shown);
  return label;
}

/** Say something to those who do not see the page: it has <p id="live" role="status">. */
export function announce(text) {
  $("live").textContent = text;
}
