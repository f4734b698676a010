// The bar at the bottom: the song that plays, and those before and after it in the list where it was started.
import { api } from "./api.js";
import { $ } from "./web/elements.js";
import { player } from "./web/player.js";
import { by, dress, markPlaying, title } from "./rows.js";

const audio = $("audio");
const sound = player(audio, $("unplayable"), "This song cannot be played: its file may have moved, or is of a kind that your browser does not play.");
let queue = [], at = -1, changed = () => {};

dress($("previous"), "previous", "Previous song").addEventListener("click", () => step(-1));
dress($("next"), "next", "Next song").addEventListener("click", () => step(1));
audio.addEventListener("ended", () => step(1));
for (const name of ["play", "pause", "emptied"]) audio.addEventListener(name, tell);

function tell() {
  if (current()) markPlaying(current().id, !audio.paused);
  changed();
}

/** The song in the bar; null before any was played. */
export const current = () => queue[at] ?? null;
export const plays = (id) => current()?.id === id && !audio.paused;

/** Call a function when another song is in the bar, or when it starts or stops. */
export function onChange(call) {
  changed = call;
}

/** Play a song; after it, those that follow it in `list`. */
export function play(track, list = [track]) {
  queue = list;
  at = list.findIndex(({ id }) => id === track.id);
  show();
  sound.play();
}

/** Play a song, or pause it if it plays. */
export function toggle(track, list) {
  if (current()?.id === track.id) sound.toggle();
  else play(track, list);
}

/** Put a song into the bar without playing it. */
export function ready(track) {
  if (current()?.id === track.id) return;
  queue = [track];
  at = 0;
  show();
}

function step(by) {
  if (!queue[at + by]) return;
  at += by;
  show();
  sound.play();
}

function show() {
  const track = current();
  $("bar").hidden = false;
  $("playing").textContent = title(track);
  $("playing-by").textContent = by(track);
  document.title = `${title(track)} · musiczoo`;
  $("previous").disabled = at === 0;
  $("next").disabled = at === queue.length - 1;
  sound.open(api.audio(track.id));
  if ("mediaSession" in navigator) {
    navigator.mediaSession.metadata = new MediaMetadata({ title: title(track), artist: track.artist ?? "", album: track.album ?? "" });
    navigator.mediaSession.setActionHandler("previoustrack", at ? () => step(-1) : null);
    navigator.mediaSession.setActionHandler("nexttrack", queue[at + 1] ? () => step(1) : null);
  }
  tell();
}

/** The audio of one song, as the tags over time want it: they may be those of a song that is not in the bar. */
export function audioOf(shown) {
  const here = () => current()?.id === shown()?.id;
  return {
    addEventListener: (name, call) => audio.addEventListener(name, call),
    get paused() { return !here() || audio.paused; },
    get currentTime() { return here() ? audio.currentTime : 0; },
    set currentTime(seconds) {
      ready(shown());
      audio.currentTime = seconds;
    },
    play: () => play(shown(), here() ? queue : undefined),
    toggle: () => toggle(shown()),
  };
}
