// The page: songs come in, wait for their turn, and are shown.
import { load, similarity } from "./musiczoo.js";
import { chosen, dropped } from "./files.js";
import { $, announce, cosines, element, link, slider, tagGroup } from "./web/elements.js";
import { player } from "./web/player.js";
import { connectTaggram, showTaggram } from "./web/taggram.js";
import { clock, percent, stem } from "./web/text.js";

const NEAREST = 20; // songs in the list
const STRONGEST = 3; // tags shown of each dimension

const songs = []; // { file, path, state: "waiting" | "analyzing" | "analyzed" | "broken", track, trouble, row }
const weights = {}; // dimension -> 0 to 100
let current = null; // the song that is shown
let working = null; // the AbortController of the work in progress
let model = null;

const sound = player($("audio"), $("unplayable"), "This browser cannot play the file.");
const title = (song) => stem(song.path);
const analyzed = () => songs.filter((song) => song.state === "analyzed");

// === Start ===

connectTaggram($("audio"), sound);
try {
  model = await load();
  $("startup").hidden = true;
  $("about").textContent = `${model.card.name} ${model.card.version}. Nothing leaves this browser.`;
  makeSliders();
  work();
} catch (error) {
  $("startup").className = "trouble";
  $("startup").textContent = `The model cannot be loaded. ${error.message}`;
}

// === Files ===

$("choose-songs").addEventListener("click", () => $("songs-input").click());
$("choose-folder").addEventListener("click", () => $("folder-input").click());
for (const id of ["songs-input", "folder-input"]) {
  $(id).addEventListener("change", ({ target }) => {
    add(chosen(target));
    target.value = ""; // so that the same file can be chosen again
  });
}
let inside = 0; // dragenter comes for every element on the way
addEventListener("dragenter", () => $("drop").classList.toggle("over", ++inside > 0));
addEventListener("dragleave", () => $("drop").classList.toggle("over", --inside > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  inside = 0;
  $("drop").classList.remove("over");
  try {
    add(await dropped(event.dataTransfer));
  } catch (error) {
    announce(`What was dropped cannot be read: ${error.message}`);
  }
});

function add({ songs: found, others }) {
  const same = (a, b) => a.path === b.path && a.file.size === b.file.size && a.file.lastModified === b.file.lastModified;
  const added = found.filter((song) => !songs.some((other) => other.state !== "stopped" && same(song, other)));
  for (const { file, path } of added) {
    let song = songs.find((other) => same(other, { file, path })); // one that was stopped gets another turn
    if (!song) {
      songs.push((song = { file, path, row: element("li") }));
      $("songs").append(song.row);
    }
    Object.assign(song, { state: "waiting", trouble: undefined });
    showRow(song);
  }
  const left = [];
  if (added.length < found.length) left.push(`${found.length - added.length} were there already.`);
  if (others) left.push(`${others} other files were left out.`);
  announce([`${added.length} songs added.`, ...left].join(" "));
  $("main").hidden = !songs.length;
  $("promise").hidden = songs.length > 0;
  $("drop").classList.toggle("small", songs.length > 0);
  work();
}

// === Work: one song after another, so that memory holds one decoded song ===

async function work() {
  if (working || !model) return;
  const control = (working = new AbortController());
  for (let song; (song = songs.find(({ state }) => state === "waiting")) && !control.signal.aborted; ) {
    song.state = "analyzing";
    showRow(song);
    showWork(song, 0);
    try {
      const audio = await model.decode(song.file);
      const onProgress = (done) => showWork(song, done);
      song.track = await model.analyze(audio, { signal: control.signal, onProgress });
      song.state = "analyzed";
    } catch (error) {
      song.state = control.signal.aborted ? "stopped" : "broken";
      song.trouble = control.signal.aborted ? "Stopped." : error.message;
    }
    if (!songs.includes(song)) continue; // removed meanwhile
    showRow(song);
    announce(song.state === "analyzed" ? `${title(song)}: ${applying(song).join(", ") || "no tag"}` : `${song.path}: ${song.trouble}`);
    if (song.state === "analyzed" && !current) choose(song);
    else showNear();
  }
  working = null;
  $("work").hidden = true;
  if (songs.some(({ state }) => state === "waiting")) work();
}

function showWork(song, done) {
  if (!songs.includes(song)) return; // removed meanwhile
  const finished = songs.filter(({ state }) => !["waiting", "analyzing"].includes(state)).length;
  $("work").hidden = false;
  $("progress").value = (finished + done) / songs.length;
  $("working").textContent = `Song ${finished + 1} of ${songs.length}: ${title(song)}, ${done ? percent(done) : "decoding"}`;
}

function stop() {
  for (const song of songs.filter(({ state }) => state === "waiting")) {
    Object.assign(song, { state: "stopped", trouble: "Stopped." });
    showRow(song);
  }
  working?.abort();
}

$("stop").addEventListener("click", stop);
$("clear").addEventListener("click", () => {
  stop();
  songs.length = 0;
  current = null;
  sound.close();
  $("songs").replaceChildren();
  $("main").hidden = $("chosen").hidden = true;
  $("promise").hidden = false;
  $("drop").classList.remove("small");
  $("choose-songs").focus();
  announce("All songs removed.");
});

// === The list ===

function showRow(song) {
  const { row } = song;
  row.classList.toggle("current", song === current);
  if (song.state !== "analyzed") {
    const note = song.trouble ?? { waiting: "waiting", analyzing: "analyzing…" }[song.state];
    row.replaceChildren(element("span", title(song)), element("span", note, song.trouble ? "trouble" : "soft"));
    return;
  }
  const open = songLink(song), tags = applying(song).join(", ") || "no tag";
  if (song === current) open.setAttribute("aria-current", "true");
  row.replaceChildren(open, element("span", `${clock(song.track.duration)} · ${tags}`, "soft"));
}

const songLink = (song) => link(title(song), () => {
  choose(song);
  $("title").focus({ preventScroll: true });
  $("title").scrollIntoView({ block: "nearest" });
}, song.path);

/** The likeliest tag of each dimension, where one applies. */
const applying = ({ track }) =>
  Object.values(track.tags.byDimension())
    .map(([first]) => first)
    .filter(({ name, probability }) => probability >= track.card.thresholds[name])
    .map(({ name }) => name);

// === The chosen song ===

function choose(song) {
  const before = current, playing = !$("audio").paused;
  current = song;
  if (before) showRow(before);
  showRow(song);
  $("chosen").hidden = false;
  $("title").textContent = title(song);
  const short = song.track.padded ? " · shorter than one excerpt, so the tags are less certain" : "";
  $("facts").textContent = `${song.path} · ${clock(song.track.duration)}${short}`;
  sound.open(song.file);
  if (playing) sound.play();
  drawTaggram();
  showTags(song.track);
  showNear();
}

const drawTaggram = () => showTaggram(current.track, $("all-tags").checked ? Infinity : STRONGEST);
$("all-tags").addEventListener("change", drawTaggram);

function showTags({ tags, card }) {
  const judged = ({ name, probability }) => ({ name, probability, above: probability >= card.thresholds[name] });
  const groups = Object.entries(tags.byDimension());
  $("tags").replaceChildren(...groups.map(([dimension, ranked]) => tagGroup(dimension, ranked.slice(0, 2 * STRONGEST - 1).map(judged))));
}

// === Nearest songs ===

function makeSliders() {
  const names = Object.keys(model.card.spaces);
  $("sliders").hidden = names.length < 2;
  for (const name of names) {
    weights[name] = 100;
    const rank = (value) => {
      weights[name] = value;
      showNear();
    };
    $("sliders").append(slider(name, 100, rank, () => {
      const first = Array.from($("near").children, (row) => row.querySelector(".song").textContent).slice(0, 3);
      announce(`Nearest: ${first.join(", ")}`);
    }));
  }
}

function showNear() {
  if (!current) return;
  const others = analyzed().filter((song) => song !== current);
  const silent = !Object.values(weights).some(Boolean);
  $("near-note").hidden = others.length > 0 && !silent;
  $("near-note").textContent = silent ? "Every dimension counts nothing: raise a slider." : "Add more songs to compare.";
  if (silent) return $("near").replaceChildren();
  const ranked = others.map((song) => ({ song, ...similarity(current.track, song.track, weights) }));
  ranked.sort((a, b) => b.score - a.score);
  $("near").replaceChildren(...ranked.slice(0, NEAREST).map(nearRow));
}

function nearRow({ song, score, dimensions }) {
  const row = element("li"), line = element("div", undefined, "line"), whole = element("span", score.toFixed(2), "number");
  whole.title = "weighted mean of the cosines, -1 to 1";
  line.append(songLink(song), whole);
  row.append(line, cosines(dimensions, weights));
  return row;
}
