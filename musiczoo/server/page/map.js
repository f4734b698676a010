// The map as a view: made when it is first shown.
import { api } from "./api.js";
import { onRecolour } from "./web/colours.js";
import { $, element } from "./web/elements.js";
import { byKind } from "./web/kinds.js";
import { points } from "./web/points.js";
import { title } from "./rows.js";

let picture = null, page = null, songs = [], tags = [], numbers = new Map(), near = [], look = null, under = -1, revision = -1;

/**
 * Make the map, or make it again if the library has changed.
 * @param {object} library As the API has it.
 * @param {object} does `choose(track, play)`, and `release()`.
 */
export async function showMap(library, does) {
  if (revision === library.revision) return;
  page = does;
  $("map-note").textContent = "The map is being made…";
  let answer;
  try {
    answer = await api.map();
  } catch (error) {
    $("map-note").textContent = error.message;
    return;
  }
  revision = library.revision;
  tags = library.tags.map((tag) => tag.name);
  songs = answer.points;
  numbers = new Map(songs.map(({ id }, i) => [id, i]));
  $("map").setAttribute("aria-label", `Map of ${songs.length} songs`);
  $("map-note").textContent = songs.length < library.tracks ? `${songs.length} of ${library.tracks} songs are shown.` : "";
  const places = Float32Array.from(songs.flatMap(({ x, y }) => [2 * x - 1, 2 * y - 1]));
  const old = $("map"), canvas = old.cloneNode(); // without the listeners of an earlier map
  old.replaceWith(canvas);
  picture = points(canvas, places, { choose, hover: showTip, release, near: () => near });
  $("colour").replaceChildren(...library.dimensions.map((name) => new Option(`strongest ${name} tag`, name)));
  recolour();
}

/** Mark a song, with lines to those that are like it. */
export function markOnMap(track, similar) {
  if (!picture) return;
  near = similar.map(({ id }) => numbers.get(id)).filter((i) => i !== undefined);
  picture.choose(track ? (numbers.get(track.id) ?? -1) : -1);
}

/** Let only some songs stand out; null for all. */
export function filterMap(ids) {
  if (!picture) return;
  const shown = ids && new Uint8Array(songs.length);
  for (const id of ids ?? []) if (numbers.has(id)) shown[numbers.get(id)] = 1;
  picture.filter(shown);
}

$("colour").addEventListener("change", recolour);
$("in").addEventListener("click", () => picture?.zoom(1.5));
$("out").addEventListener("click", () => picture?.zoom(1 / 1.5));
$("fit").addEventListener("click", () => picture?.fit());
onRecolour(() => look && $("legend").replaceChildren(...look.legend()));

function recolour() {
  const name = $("colour").value;
  look = byKind(songs.map(({ strongest }) => strongest[name]), tags, `Strongest tag of ${name}`);
  picture.look(look);
  $("legend").replaceChildren(...look.legend());
}

function choose(i, play) {
  near = [];
  picture.choose(i);
  page.choose(songs[i], play);
  if (!play) showTip(i);
}

function release() {
  showTip(-1);
  markOnMap(null, []);
}

function showTip(i) {
  const tip = $("tip");
  if (under !== i) {
    under = i;
    picture.ring(i);
    tip.hidden = i < 0;
    if (i >= 0) {
      const lines = [songs[i].artist, Object.values(songs[i].strongest).join(", ")].filter(Boolean);
      tip.replaceChildren(element("b", title(songs[i])), ...lines.map((line) => element("span", line)));
    }
  }
  if (i >= 0) picture.place(tip, i);
}
