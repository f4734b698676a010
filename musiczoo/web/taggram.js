// Tags over time: a row a tag, a column an excerpt, and a marker where the song plays. The page has the elements
// #rows, #plot with #cells and #marker in it, #axis, #under and #most.
import { colours, mix, onRecolour } from "./colours.js";
import { $, element } from "./elements.js";
import { clock, percent } from "./text.js";

const ROW = 20, GAP = 8; // pixels; as the style sheet has them
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

let shown = null; // { track, rows: [{ tag, top, first }], height }
let audio = null, player = null;

/** Connect the picture with an audio element and its player. */
export function connectTaggram(sound, itsPlayer) {
  [audio, player] = [sound, itsPlayer];
  const plot = $("plot");
  plot.addEventListener("click", (event) => {
    moveTo(secondsAt(event));
    player.play();
  });
  plot.addEventListener("pointermove", (event) => tellUnder(secondsAt(event)));
  plot.addEventListener("pointerleave", () => tellUnder(null));
  plot.addEventListener("keydown", pressed);
  for (const name of ["timeupdate", "seeked", "loadedmetadata"]) audio.addEventListener(name, mark);
  new ResizeObserver(draw).observe(plot);
  onRecolour(draw);
}

/** Show a track: the `k` strongest tags of each dimension. */
export function showTaggram(track, k) {
  const rows = [];
  let top = 0;
  for (const tags of Object.values(track.tags.byDimension())) {
    tags.slice(0, k).forEach(({ name }, i) => {
      if (i === 0 && rows.length) top += GAP;
      rows.push({ name, tag: track.card.tags.indexOf(name), top, first: i === 0 });
      top += ROW;
    });
  }
  shown = { track, rows, height: top };
  $("rows").replaceChildren(...rows.map(({ name, first }) => element("li", name, first ? "first" : "")));
  $("plot").setAttribute("aria-valuemax", Math.round(track.duration));
  $("most").textContent = percent(strength());
  tellUnder(null);
  draw();
  mark();
}

const secondsAt = (event) => {
  const box = $("plot").getBoundingClientRect();
  const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  return share * (shown?.track.duration ?? 0);
};

/** The excerpt at a time: the last that has started. */
const excerptAt = (seconds) => Math.max(0, shown.track.times.findLastIndex((start) => start <= seconds));

const strongest = (excerpt, k) =>
  shown.rows
    .map(({ name, tag }) => [name, shown.track.taggram[excerpt][tag]])
    .sort((a, b) => b[1] - a[1])
    .slice(0, k)
    .map(([name, probability]) => `${name} ${percent(probability)}`)
    .join(", ");

function moveTo(seconds) {
  audio.currentTime = Math.min(Math.max(seconds, 0), shown.track.duration);
  mark();
}

function pressed(event) {
  const { times, duration } = shown.track, at = excerptAt(audio.currentTime);
  const to = { ArrowRight: times[at + 1], ArrowUp: times[at + 1], ArrowLeft: times[at - 1] ?? 0, ArrowDown: times[at - 1] ?? 0,
    PageUp: audio.currentTime + duration / 10, PageDown: audio.currentTime - duration / 10,
    Home: 0, End: times.at(-1) }[event.key];
  if (event.key === "Enter" || event.key === " ") player.toggle();
  else if (to !== undefined) moveTo(to);
  else return;
  event.preventDefault();
}

function mark() {
  if (!shown) return;
  const { duration } = shown.track, at = Math.min(audio.currentTime, duration);
  $("marker").style.left = `${(100 * at) / duration}%`;
  const text = `${clock(at)} of ${clock(duration)}: ${strongest(excerptAt(at), 3)}`;
  if (!audio.paused && document.activeElement === $("plot")) return; // a screen reader would talk all the time
  $("plot").setAttribute("aria-valuenow", Math.round(at));
  $("plot").setAttribute("aria-valuetext", text);
}

function tellUnder(seconds) {
  $("under").textContent = seconds === null || !shown ? "" : `${clock(seconds)}: ${strongest(excerptAt(seconds), 5)}`;
}

/** The highest probability in the picture: the end of the scale. */
const strength = () =>
  shown.track.taggram.reduce((top, tags) => shown.rows.reduce((most, { tag }) => Math.max(most, tags[tag]), top), 1e-6);

function drawAxis({ duration }) {
  const many = Math.max(2, $("plot").clientWidth / 80);
  const step = TICKS.find((seconds) => duration / seconds <= many) ?? duration;
  const ticks = Array.from({ length: Math.floor((0.95 * duration) / step) + 1 }, (_, i) => {
    const tick = element("span", clock(i * step));
    tick.style.left = `${(100 * i * step) / duration}%`;
    return tick;
  });
  $("axis").replaceChildren(...ticks);
}

function draw() {
  if (!shown) return;
  drawAxis(shown.track);
  const canvas = $("cells"), { track, rows, height } = shown, { times, taggram, duration } = track;
  const width = $("plot").clientWidth, dots = window.devicePixelRatio || 1;
  canvas.width = width * dots;
  canvas.height = height * dots;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d"), scale = colours("scale");
  const top = strength(), length = track.card.excerpt_samples / track.card.sample_rate;
  times.forEach((start, i) => {
    const end = Math.min(times[i + 1] ?? start + length, duration);
    const left = Math.round((start / duration) * canvas.width), right = Math.round((end / duration) * canvas.width);
    for (const row of rows) {
      pen.fillStyle = mix(scale, taggram[i][row.tag] / top);
      pen.fillRect(left, row.top * dots, Math.max(1, right - left), (ROW - 1) * dots);
    }
  });
}
