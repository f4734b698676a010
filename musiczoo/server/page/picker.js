// A dialog in which one song is chosen by words.
import { api, latest } from "./api.js";
import { $, element, link } from "./web/elements.js";
import { by, dress, title } from "./rows.js";

const MOST = 12;

let done = null, own = null;

dress($("picker-close"), "remove", "Close");
$("picker").addEventListener("close", () => answer(null));
$("picker").addEventListener("click", (event) => { if (event.target === $("picker")) $("picker").close(); });
$("picker-words").addEventListener("input", () => find($("picker-words").value));
$("picker-words").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault(); // a form in a dialog would close it
  $("picker-songs").querySelector("button")?.click();
});

function answer(track) {
  const then = done;
  done = null;
  then?.(track);
}

const find = latest(
  (words) => api.tracks({ q: words, limit: MOST }),
  ({ tracks }) => show(tracks, tracks.length ? "" : "No song has these words."),
  (error) => show([], error.message),
);

function show(tracks, note) {
  const rows = tracks.map((track) => {
    const row = element("li", undefined, "row"), words = element("div", undefined, "words");
    row.dataset.id = track.id;
    words.append(link(title(track), () => { answer(track); $("picker").close(); }, track.path));
    words.append(element("span", track.id === own?.id ? "this song" : by(track), "soft"));
    row.append(words);
    return row;
  });
  $("picker-songs").replaceChildren(...rows, ...(note ? [element("li", note, "soft")] : []));
}

/**
 * Let a song be chosen.
 * @param {string} question The dialog's title.
 * @param {object | null} first The song that is shown: it is offered first, as "this song".
 * @param {object[]} offered More songs to offer before any word is typed.
 * @returns {Promise<object | null>} The song, or null if the dialog was closed.
 */
export function pick(question, first, offered) {
  own = first;
  const songs = [...(first ? [first] : []), ...offered].filter((track, i, all) => all.findIndex(({ id }) => id === track.id) === i);
  $("picker-title").textContent = question;
  $("picker-words").value = "";
  find.drop();
  if (songs.length) show(songs.slice(0, MOST), "");
  else find("");
  $("picker").showModal();
  $("picker-words").focus();
  return new Promise((resolve) => { done = resolve; });
}
