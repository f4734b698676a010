// The playlist: songs are added, moved by pointer and keys, removed, saved on the server or as a file.
import { api } from "./api.js";
import { $, announce, element } from "./web/elements.js";
import { clock } from "./web/text.js";
import { droppable, round, songRow, title } from "./rows.js";

const KEPT = "musiczoo playlist"; // in the storage of this browser
const MOST_KEPT = 1000;
const MOVES = { ArrowUp: -1, ArrowDown: 1 };

let songs = [], page = null, moved = null;

/**
 * Make the panel.
 * @param {object} does `choose(track)` and `toggle(track, list)`.
 */
export function makePlaylist(does) {
  page = does;
  droppable($("playlist-view"), { over: ({ clientY }) => showGap(gapAt(clientY)), leave: () => showGap(-1), drop: (track, { clientY }) => dropAt(track, gapAt(clientY)) });
  addEventListener("dragend", () => { moved = null; });
  $("save").addEventListener("submit", (event) => {
    event.preventDefault();
    save($("save-button").textContent === "Replace");
  });
  $("name").addEventListener("input", () => { $("save-button").textContent = "Save"; });
  $("download").addEventListener("click", download);
  $("clear").addEventListener("click", () => {
    songs = [];
    say("");
    show();
    announce("The playlist is empty.");
  });
  $("open").addEventListener("change", open);
  listSaved();
  restore();
}

export const inPlaylist = () => songs;

/** Add songs at the end. */
export function add(tracks) {
  songs.push(...tracks);
  show();
  announce(tracks.length === 1 ? `${title(tracks[0])} is number ${songs.length} of the playlist.` : `${tracks.length} songs added.`);
}

// === The list ===

function show() {
  $("playlist").replaceChildren(...songs.map(row));
  $("empty").hidden = songs.length > 0;
  $("save").hidden = $("playlist-keys").hidden = !songs.length;
  $("many").textContent = songs.length || "";
  const seconds = songs.reduce((sum, track) => sum + track.duration_s, 0);
  $("length-of-all").textContent = songs.length ? `${songs.length} · ${clock(seconds)}` : "";
  localStorage.setItem(KEPT, JSON.stringify(songs.map(({ id, path }) => ({ id, path }))));
}

function row(track, i) {
  const made = songRow(track, { play: () => page.toggle(track, songs), choose: () => page.choose(track) }, { note: track.artist ?? "" });
  const tools = element("span", undefined, "tools");
  tools.append(
    round("up", `Move ${title(track)} up`, () => move(i, i - 1)),
    round("down", `Move ${title(track)} down`, () => move(i, i + 1)),
    round("remove", `Remove ${title(track)}`, () => remove(i)),
  );
  tools.firstChild.disabled = i === 0;
  tools.children[1].disabled = i === songs.length - 1;
  made.append(tools);
  made.addEventListener("dragstart", () => { moved = i; });
  made.addEventListener("keydown", (event) => {
    if (event.altKey && event.key in MOVES) move(i, i + MOVES[event.key]);
    else if (event.key === "Delete") remove(i);
    else return;
    event.preventDefault();
  });
  return made;
}

const focusOn = (i) => $("playlist").children[i]?.querySelector(".song").focus();

function move(from, to) {
  if (to < 0 || to >= songs.length) return;
  songs.splice(to, 0, ...songs.splice(from, 1));
  show();
  focusOn(to);
  announce(`${title(songs[to])} is number ${to + 1} of ${songs.length}.`);
}

function remove(i) {
  const [track] = songs.splice(i, 1);
  show();
  if (songs.length) focusOn(Math.min(i, songs.length - 1));
  announce(`${title(track)} removed.`);
}

// === Dragging ===

// The number of songs above a place on the screen.
const gapAt = (y) => Array.from($("playlist").children).filter((one) => { const box = one.getBoundingClientRect(); return y > box.top + box.height / 2; }).length;

function showGap(gap) {
  Array.from($("playlist").children).forEach((one, i) => {
    one.classList.toggle("before", i === gap);
    one.classList.toggle("after", gap === songs.length && i === songs.length - 1);
  });
}

function dropAt(track, gap) {
  if (moved !== null) return move(moved, gap > moved ? gap - 1 : gap);
  songs.splice(gap, 0, track);
  show();
  announce(`${title(track)} is number ${gap + 1} of the playlist.`);
}

// === Files ===

const say = (text, bad = false) => {
  $("saved").textContent = text;
  $("saved").className = bad ? "trouble" : "soft";
};

async function save(replace) {
  const name = $("name").value.trim();
  try {
    const { tracks } = await api.save({ name, tracks: songs.map(({ id }) => id), replace });
    $("save-button").textContent = "Save";
    say(`Saved ${name}.m3u8 with ${tracks} songs.`);
    listSaved();
  } catch (error) {
    if (error.status === 409) {
      $("save-button").textContent = "Replace";
      say(`There is a playlist ${name} already. Press Replace, or choose another name.`);
    } else say(error.status === 403 ? `${error.message} Or press Download.` : error.message, true);
  }
}

/** The playlist as the text of an M3U8 file, with absolute paths. */
export function m3u8(tracks) {
  const line = (text) => text.replace(/[\r\n]+/g, " ");
  const lines = tracks.map((track) => `#EXTINF:${Math.round(track.duration_s)},${line([track.artist, title(track)].filter(Boolean).join(" - "))}\n${track.path}\n`);
  return `#EXTM3U\n${lines.join("")}`;
}

function download() {
  const file = URL.createObjectURL(new Blob([m3u8(songs)], { type: "audio/x-mpegurl" }));
  Object.assign(element("a"), { href: file, download: `${$("name").value.trim() || "playlist"}.m3u8` }).click();
  URL.revokeObjectURL(file);
  say("Downloaded. Its paths are those on the server's machine.");
}

async function listSaved() {
  const { playlists } = await api.playlists().catch(() => ({ playlists: [] }));
  $("open-line").hidden = !playlists.length;
  const options = playlists.map(({ name, tracks }) => new Option(`${name} (${tracks})`, name));
  $("open").replaceChildren(new Option("a playlist…", ""), ...options);
}

async function open() {
  const name = $("open").value;
  if (!name) return;
  try {
    const { tracks, missing } = await api.playlist(name);
    songs = tracks;
    $("name").value = name;
    show();
    say(missing ? `${missing} songs of ${name} are not in the library.` : "");
    announce(`${name}: ${tracks.length} songs.`);
  } catch (error) {
    say(error.message, true);
  }
  $("open").value = "";
}

// What was there when the page was left. Ids are those of one library: the paths tell whether it is the same.
async function restore() {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "[]").slice(0, MOST_KEPT);
  const tracks = await Promise.all(kept.map(({ id }) => api.track(id).catch(() => null)));
  songs = [...tracks.filter((track, i) => track?.path === kept[i].path), ...songs];
  show();
}
