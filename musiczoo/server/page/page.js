// The page of musiczoo serve: songs to find, the one that is chosen, the playlist, and the map.
import { api, askForToken, latest, openSession } from "./api.js";
import { audioOf, current, onChange, play, plays, toggle } from "./bar.js";
import { $, announce, element, tagGroup } from "./web/elements.js";
import { connectTaggram, showTaggram } from "./web/taggram.js";
import { clock, percent } from "./web/text.js";
import { filterMap, markOnMap, showMap } from "./map.js";
import { add, inPlaylist, makePlaylist } from "./playlist.js";
import { by, dress, draggable, songRow, title } from "./rows.js";
import { makeSimilar, showSimilar } from "./similar.js";

const PAGE = 60; // songs that are added to the list at a time
const LOOK_S = 20; // seconds between two looks for new songs
const STRONGEST = 3; // tags shown of each dimension
const MOST_ON_MAP = 500; // songs that stand out on the map

let library = null, song = null, listed = [], similar = [], over = null, wanted = 0;

const fail = (error) => {
  $("trouble").hidden = false;
  $("trouble").textContent = error.message;
};

// === Views: all at once where there is room, one at a time on a phone ===

for (const button of document.querySelectorAll("#views button")) button.addEventListener("click", () => view(button.dataset.view));

function view(name) {
  document.body.dataset.view = name;
  for (const button of document.querySelectorAll("#views button")) {
    if (button.dataset.view === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  if (name === "map") showMap(library, { choose: chooseOnMap }).then(() => { markOnMap(song, similar); mapWords(); });
}

const phone = matchMedia("(max-width: 860px)");

function chooseOnMap(track, start) {
  if (start) play(track);
  choose(track, false);
}

// === Songs ===

const asked = () => ({ q: $("words").value.trim(), tag: $("tag").value });

const search = latest(
  (offset) => api.tracks({ ...asked(), limit: PAGE, offset }),
  ({ total, tracks }, offset) => {
    listed = offset ? [...listed, ...tracks] : tracks;
    const { q, tag } = asked(), count = total === 1 ? "1 song" : `${total.toLocaleString("en")} songs`;
    $("found").textContent = q || tag ? count : `All ${count}`;
    $("songs").replaceChildren(...listed.map((track) => songRow(track, { play: () => toggle(track, listed), choose: () => choose(track), add: () => add([track]) })));
    $("more-songs").hidden = listed.length >= total;
    $("trouble").hidden = true;
    if (q || tag) announce($("found").textContent);
    for (const row of $("songs").children) markChosen(row);
  },
  fail,
);

function find() {
  search(0);
  mapWords();
}

const mapWords = latest(
  () => (asked().q || asked().tag ? api.tracks({ ...asked(), limit: MOST_ON_MAP }) : null),
  (answer) => filterMap(answer && answer.tracks.map(({ id }) => id)),
  () => {},
);

$("words").addEventListener("input", find);
$("tag").addEventListener("change", find);
$("find").addEventListener("submit", (event) => event.preventDefault());
$("more-songs").addEventListener("click", () => search(listed.length));
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
  event.preventDefault();
  $("words").focus();
});

// New songs appear by themselves.
setInterval(async () => {
  if (document.hidden || !library || listed.length > PAGE) return;
  const now = await api.library().catch(() => library);
  if (now.revision === library.revision) return;
  library = now;
  search(0);
}, 1000 * LOOK_S);

// === The chosen song ===

const markChosen = (row) => row.classList.toggle("current", Number(row.dataset.id) === song?.id);

async function choose(track, remember = true) {
  wanted = track.id;
  const chosen = await api.track(track.id);
  if (wanted !== track.id) return; // another was chosen meanwhile
  song = chosen;
  if (remember) history.pushState(null, "", `#song-${song.id}`);
  else history.replaceState(null, "", `#song-${song.id}`);
  $("hint").hidden = true;
  $("chosen").hidden = false;
  $("title").textContent = title(song);
  $("facts").textContent = [by(song), song.year, clock(song.duration_s)].filter(Boolean).join(" · ");
  $("facts").title = song.path;
  const strong = song.above_threshold.map((name) => element("li", `${name} ${percent(song.tags[name])}`));
  $("predicted").replaceChildren(...(strong.length ? strong : [element("li", "no tag above its threshold")]));
  $("tags").replaceChildren(...library.dimensions.map((name) => tagGroup(name, ranked(name))));
  for (const row of document.querySelectorAll("#songs .row")) markChosen(row);
  showButtons();
  showSimilar(song);
  showOverTime();
  if (!remember) return;
  if (phone.matches) view("song");
  $("title").focus({ preventScroll: !phone.matches });
}

addEventListener("popstate", () => {
  const number = /^#song-(\d+)$/.exec(location.hash)?.[1];
  if (number) choose({ id: Number(number) }, false).catch(fail);
});

const threshold = (name) => library.tags.find((tag) => tag.name === name).threshold;

/** The tags of a dimension, the likeliest first. */
const ranked = (dimension) => Object.entries(song.dimensions[dimension])
  .map(([name, probability]) => ({ name, probability, above: probability >= threshold(name) }))
  .sort((a, b) => b.probability - a.probability);

function showButtons() {
  const now = plays(song.id);
  dress($("play"), now ? "pause" : "play", `${now ? "Pause" : "Play"} ${title(song)}`);
  dress($("add"), "add", `Add ${title(song)} to the playlist`);
}

$("play").addEventListener("click", () => toggle(song));
$("add").addEventListener("click", () => add([song]));
$("playing").addEventListener("click", () => choose(current()));
onChange(() => song && showButtons());

// === Tags over time ===

const curves = latest(
  (id) => api.tagsOverTime(id),
  (answer, id) => {
    if (id !== song.id) return;
    $("waiting").hidden = true;
    $("drawn").hidden = false;
    const names = Object.keys(answer.tags);
    showTaggram({
      duration: song.duration_s,
      times: answer.times_s,
      taggram: answer.times_s.map((_, i) => names.map((name) => answer.tags[name][i])),
      card: { tags: names, excerpt_samples: answer.excerpt_s, sample_rate: 1 },
      tags: { byDimension: () => Object.fromEntries(library.dimensions.map((name) => [name, ranked(name)])) },
    }, STRONGEST);
  },
  (error) => {
    $("waiting").textContent = error.message;
  },
);

function showOverTime() {
  $("drawn").hidden = true;
  $("waiting").hidden = false;
  $("waiting").textContent = "The song is being analyzed…";
  if ($("over-time").open) curves(song.id);
}

$("over-time").addEventListener("toggle", showOverTime);

draggable($("title"), () => song);

// === Start ===

askForToken(() => new Promise((resolve) => {
  $("login").hidden = false;
  $("main").hidden = true;
  $("token").focus();
  $("login").onsubmit = (event) => {
    event.preventDefault();
    $("login").hidden = true;
    $("main").hidden = !library;
    resolve($("token").value.trim());
    $("token").value = "";
  };
}));

try {
  await openSession();
  library = await api.library();
  $("main").hidden = false;
  view("songs");
  for (const dimension of library.dimensions) {
    const group = element("optgroup");
    group.label = dimension;
    for (const { name } of library.tags.filter((tag) => tag.dimension === dimension)) group.append(new Option(name, name));
    $("tag").append(group);
  }
  makeSimilar(library.dimensions, {
    choose, toggle, add,
    offered: () => [...inPlaylist(), ...[current()].filter(Boolean)],
    found(tracks) {
      similar = tracks;
      markOnMap(song, similar);
    },
  });
  makePlaylist({ choose, toggle });
  connectTaggram(over = audioOf(() => song), over);
  find();
  const number = /^#song-(\d+)$/.exec(location.hash)?.[1];
  if (number) choose({ id: Number(number) }, false).catch(fail);
} catch (error) {
  fail(error);
}
