// Songs in lists: their titles, their buttons, and how they are dragged.
import { element, link } from "./web/elements.js";
import { clock, stem } from "./web/text.js";

const SHAPES = {
  play: "M8 5.2v13.6L19 12z",
  pause: "M7 5h3.6v14H7zM13.4 5H17v14h-3.6z",
  add: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  remove: "M6.4 5 12 10.6 17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4L12 13.4 6.4 19 5 17.6 10.6 12 5 6.4z",
  up: "M12 6l7 8-1.5 1.4L12 9.1l-5.5 6.3L5 14z",
  down: "M12 18l7-8-1.5-1.4L12 14.9 6.5 8.6 5 10z",
  next: "M6 5.2v13.6L15 12zM16 5h2.4v14H16z",
  previous: "M18 5.2v13.6L9 12zM5.6 5H8v14H5.6z",
};
const KIND = "application/x-musiczoo-track";

let current = 0, sounds = false; // id of the song in the bar, and whether it plays

export const title = (track) => track.title || stem(track.path);
export const by = (track) => [track.artist, track.album].filter(Boolean).join(" · ");

/** A small picture for the eye alone. */
export function icon(name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS(made.namespaceURI, "path");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[name]);
  made.append(path);
  return made;
}

/** Give a round button its picture and its name. */
export function dress(button, name, label) {
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
  return button;
}

export function round(name, label, onClick) {
  const made = Object.assign(element("button", undefined, `round ${name}`), { type: "button" });
  made.addEventListener("click", onClick);
  return dress(made, name, label);
}

/**
 * A song as a row of a list.
 * @param {object} track As the API has it.
 * @param {object} does What its buttons do: play(), choose(), and add() if it has that button.
 * @param {object} more `note` for the line below the title, and `below`, an element for a line of its own.
 */
export function songRow(track, does, { note = by(track), below } = {}) {
  const row = element("li", undefined, "row"), words = element("div", undefined, "words");
  row.dataset.id = track.id;
  words.append(link(title(track), does.choose, track.path), element("span", [note, clock(track.duration_s)].filter(Boolean).join(" · "), "soft"));
  row.append(round("play", "", does.play), words);
  markRow(row);
  if (does.add) row.append(round("add", `Add ${title(track)} to the playlist`, does.add));
  if (below) row.append(below);
  draggable(row, () => track);
  return row;
}

/** Mark the rows of the song in the bar: in all lists, also those that are made later. */
export function markPlaying(id, plays) {
  [current, sounds] = [id, plays];
  document.querySelectorAll(".row:has(> .play)").forEach(markRow);
}

function markRow(row) {
  const here = Number(row.dataset.id) === current, name = row.querySelector(".song").textContent;
  row.classList.toggle("playing", here);
  dress(row.querySelector(".play"), here && sounds ? "pause" : "play", `${here && sounds ? "Pause" : "Play"} ${name}`);
}

/** Let an element be dragged as the song that `song()` gives. */
export function draggable(made, song) {
  made.draggable = true;
  made.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData(KIND, JSON.stringify(song()));
    event.dataTransfer.setData("text/plain", title(song()));
    document.body.classList.add("dragging");
  });
  made.addEventListener("dragend", () => document.body.classList.remove("dragging"));
}

/** Let songs be dropped on an element: `over(event)` while one is above it, `leave()` and `drop(track, event)`. */
export function droppable(made, { over = () => {}, leave = () => {}, drop }) {
  const song = (event) => event.dataTransfer.types.includes(KIND);
  made.addEventListener("dragover", (event) => {
    if (!song(event)) return;
    event.preventDefault();
    made.classList.add("over");
    over(event);
  });
  made.addEventListener("dragleave", (event) => {
    if (made.contains(event.relatedTarget)) return;
    made.classList.remove("over");
    leave();
  });
  made.addEventListener("drop", (event) => {
    if (!song(event)) return;
    event.preventDefault();
    made.classList.remove("over");
    drop(JSON.parse(event.dataTransfer.getData(KIND)), event);
    leave();
  });
}
