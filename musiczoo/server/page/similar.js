// Songs that are like the chosen one: a weight for each dimension, and the song that it comes from; or a path to another.
import { api, latest } from "./api.js";
import { $, announce, cosines, element, slider } from "./web/elements.js";
import { percent } from "./web/text.js";
import { pick } from "./picker.js";
import { droppable, songRow, title } from "./rows.js";

const MOST = 20;

const weights = {}; // dimension -> 0 to 100
const mix = {}; // dimension -> the song that it comes from, if it is another
const slots = {}; // dimension -> its button
let song = null, end = null, tab = "like", found = [], page = null;

/**
 * Make the controls.
 * @param {string[]} dimensions
 * @param {object} does `choose(track)`, `toggle(track, list)`, `add(tracks)`, `offered()`: songs to offer in a dialog,
 *   and `found(tracks)`: other songs are listed.
 */
export function makeSimilar(dimensions, does) {
  page = does;
  $("sliders").hidden = dimensions.length < 2;
  for (const name of dimensions) {
    weights[name] = 100;
    const row = element("div", undefined, "dimension");
    const weigh = slider(name, 100, (value) => { weights[name] = value; list(); }, tell);
    slots[name] = slot(`Whose ${name}?`, (track) => {
      mix[name] = track.id === song.id ? null : track;
      showSlots();
      list();
    });
    row.append(weigh, slots[name]);
    $("sliders").append(row);
  }
  slot("A path to which song?", (track) => { end = track; showSlots(); list(); }, $("end"));
  $("length").addEventListener("change", list);
  $("path").addEventListener("submit", (event) => event.preventDefault());
  $("add-all").addEventListener("click", () => page.add(found));
  for (const name of ["like", "path"]) $(`${name}-tab`).addEventListener("click", () => turn(name));
  document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    turn(tab === "like" ? "path" : "like");
    $(`${tab}-tab`).focus();
  });
}

/** Show what is like a song. */
export function showSimilar(track) {
  song = track;
  showSlots();
  list();
}

// A button that takes a song: it is dropped there, or chosen in a dialog.
function slot(question, take, made = Object.assign(element("button", undefined, "slot"), { type: "button" })) {
  made.addEventListener("click", async () => {
    const track = await pick(question, made === $("end") ? null : song, page.offered());
    if (track) take(track);
  });
  droppable(made, { drop: take });
  return made;
}

// The other song that a dimension comes from.
const mixed = (name) => (mix[name] && mix[name].id !== song.id ? mix[name] : null);

function showSlots() {
  for (const [name, button] of Object.entries(slots)) {
    const other = mixed(name);
    button.textContent = other ? `of ${title(other)}` : "of this song";
    button.setAttribute("aria-label", `${name} ${button.textContent}: choose another song`);
    button.classList.toggle("set", Boolean(other));
  }
  $("end").textContent = end ? title(end) : "choose a song…";
  $("end").classList.toggle("set", Boolean(end));
}

function turn(name) {
  tab = name;
  for (const other of ["like", "path"]) {
    $(`${other}-tab`).setAttribute("aria-selected", other === tab);
    $(`${other}-tab`).tabIndex = other === tab ? 0 : -1;
  }
  $("results").setAttribute("aria-labelledby", `${tab}-tab`);
  $("path").hidden = tab !== "path";
  $("results").classList.toggle("a-path", tab === "path");
  list();
}

const counted = () => Object.fromEntries(Object.entries(weights).filter(([, weight]) => weight));

const ask = latest(
  (body) => (body.end ? api.path(body) : api.search(body)),
  (answer, body) => show(answer.hits ?? answer.tracks, body),
  (error) => showNothing(error.message),
);

function list() {
  if (!song) return;
  ask.drop();
  if (!Object.keys(counted()).length) return showNothing("Every dimension counts nothing: raise a slider.");
  if (tab === "path") {
    if (!end || end.id === song.id) return showNothing("Choose the song at the end: each step on the way is small.");
    return ask({ start: song.id, end: end.id, k: Math.min(50, Math.max(3, Number($("length").value) || 10)), weights: counted() });
  }
  const others = Object.keys(mix).filter(mixed).map((name) => [name, mix[name].id]);
  ask({ seeds: [song.id], mix: Object.fromEntries(others), weights: counted(), k: MOST });
}

function showNothing(note) {
  found = [];
  $("note").textContent = note;
  $("near").replaceChildren();
  $("add-all").hidden = true;
  page.found(found);
}

function show(tracks, { end: to }) {
  found = tracks;
  const told = to ? "Each song is compared with the one before it." : "Bars: the share of the library that is less similar.";
  $("note").textContent = tracks.length ? told : "There is no other song.";
  $("add-all").hidden = !tracks.length;
  $("near").replaceChildren(...tracks.map((track) => row(track)));
  page.found(tracks);
}

function row(track) {
  const does = { play: () => page.toggle(track, found), choose: () => page.choose(track), add: () => page.add([track]) };
  const percentiles = track.similarity_percentile ?? {};
  const near = ([name, cosine]) => (name in percentiles ? [percentiles[name] / 100, percent(percentiles[name] / 100)] : [cosine, cosine.toFixed(2)]);
  return songRow(track, does, { below: cosines(track.dimensions, weights, near) });
}

// For those who do not see the list change: when a slider is let go.
function tell() {
  announce(found.length ? `Nearest: ${found.slice(0, 3).map(title).join(", ")}` : $("note").textContent);
}
