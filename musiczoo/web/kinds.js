// Points by kind: the most frequent have a colour and a shape each, the rest share one.
import { colour, colours } from "./colours.js";
import { element } from "./elements.js";
import { SHAPES, symbol } from "./points.js";

/**
 * How points of several kinds look: what `points` takes, and a legend.
 * @param {string[]} kinds The kind of each point.
 * @param {string[]} names All kinds; of equally frequent ones, the first here comes first.
 * @param {string} label What the kinds are, such as "Strongest tag of genre".
 */
export function byKind(kinds, names, label) {
  const totals = new Map();
  for (const kind of kinds) totals.set(kind, (totals.get(kind) ?? 0) + 1);
  const shown = names.filter((name) => totals.has(name)).sort((a, b) => totals.get(b) - totals.get(a)).slice(0, SHAPES.length);
  const numbers = new Map(shown.map((kind, k) => [kind, k]));
  const looks = Uint8Array.from(kinds, (kind) => numbers.get(kind) ?? shown.length);
  const others = looks.reduce((sum, k) => sum + (k === shown.length), 0);
  const styles = () => [...colours("kinds").slice(0, shown.length).map((fill, k) => [SHAPES[k], fill]), ["circle", colour("others")]];
  return {
    looks, styles,
    order: Uint32Array.from(looks.keys()).sort((a, b) => looks[b] - looks[a]),
    legend() {
      const texts = shown.map((kind) => `${kind} (${totals.get(kind)})`);
      if (others) texts.push(`other (${others})`);
      const items = texts.map((text, k) => {
        const item = element("span"), key = symbol(styles()[k], 5, 2);
        key.setAttribute("aria-hidden", "true");
        item.append(key, text);
        return item;
      });
      return [element("span", `${label}:`, "soft"), ...items];
    },
  };
}
