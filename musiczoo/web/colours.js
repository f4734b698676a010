// The colours of style.css, for what is drawn.
const root = document.documentElement;

/** A colour by its name, such as "text". */
export const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

/** The colours of "scale" or "kinds". */
export const colours = (name) => colour(name).split(/\s*,\s*/);

/** The three parts of #rrggbb, 0 to 255. */
export const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

/** The colour at a share of a scale; between two of its colours, a mixture. */
export function mix(scale, share) {
  const at = Math.min(Math.max(share, 0), 1) * (scale.length - 1), i = Math.min(Math.floor(at), scale.length - 2);
  const high = rgb(scale[i + 1]);
  return `rgb(${rgb(scale[i]).map((low, k) => Math.round(low + (high[k] - low) * (at - i))).join(" ")})`;
}

/** Draw again when the colours change: another theme, or paper, which is light. */
export function onRecolour(draw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  for (const [event, printing] of [["beforeprint", true], ["afterprint", false]])
    addEventListener(event, () => { root.classList.toggle("printing", printing); draw(); });
}
