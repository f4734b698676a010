// The page of a map: how its points look, and what it tells of the chosen one.
import { colours, mix, onRecolour } from "./web/colours.js";
import { $, announce, element, link, tagGroup } from "./web/elements.js";
import { byKind } from "./web/kinds.js";
import { player } from "./web/player.js";
import { points } from "./web/points.js";
import { clock, percent } from "./web/text.js";
import { address, count, data, dimensions, matches, probability, spaces, strongest, threshold, title } from "./data.js";

const LEVELS = 24; // of a scale: each is drawn once and then stamped
const PAGE = 60; // tracks added to the list at a time

let space = 0, chosen = -1, under = -1, shown = null, listed = [], colouring = null;
const sound = player($("audio"), $("trouble"), "This file cannot be played: it may have moved, or be of a kind that your browser does not play.");
const near = (i) => spaces[space].near(i);
const picture = points($("map"), spaces[0].places, { choose: choosePoint, hover: showTip, release, near: (i) => near(i).map(([j]) => j) });

// The likeliest tags of each dimension with their probabilities.
const told = (i, k) => dimensions.map((name) =>
  `${name}: ${strongest(i, name, k).map((tag) => `${tag.name} ${percent(tag.probability)}`).join(", ")}`);

// === The chosen track ===

function choose(i, play) {
  chosen = i;
  $("hint").hidden = true;
  $("chosen").hidden = false;
  $("title").textContent = title(i);
  $("artist").textContent = [data.artists[i], clock(data.seconds[i])].filter(Boolean).join(" · ");
  $("path").textContent = data.root + data.paths[i];
  $("tags").replaceChildren(...dimensions.map((name) => tagGroup(name, strongest(i, name, 3))));
  showNear();
  sound.open(address(i));
  if (play) sound.play();
  picture.choose(i);
}

function choosePoint(i, play) {
  if (!play) sound.pause();
  choose(i, play);
  if (play) return;
  showTip(i);
  announce(`${title(i)}${data.artists[i] ? `, ${data.artists[i]}` : ""}. ${told(i, 1).join("; ")}`);
}

function release() {
  chosen = -1;
  sound.pause();
  $("hint").hidden = false;
  $("chosen").hidden = true;
  showTip(-1);
  picture.choose(-1);
}

const trackLink = (i) => link(title(i), () => choose(i, true));

function showNear() {
  if (chosen < 0) return;
  $("near-space").textContent = spaces[space].label;
  $("near").replaceChildren(...near(chosen).map(([j, cosine]) => {
    const row = element("li");
    row.append(trackLink(j), element("span", ` ${[data.artists[j], cosine.toFixed(2)].filter(Boolean).join(" · ")}`, "soft"));
    return row;
  }));
}

function showTip(i) {
  const tip = $("tip");
  if (under !== i) {
    under = i;
    picture.ring(i);
    tip.hidden = i < 0;
    if (i >= 0) {
      const artist = data.artists[i] ? [element("span", data.artists[i])] : [];
      tip.replaceChildren(element("b", title(i)), ...artist, ...told(i, 2).map((line) => element("span", line)));
    }
  }
  if (i >= 0) picture.place(tip, i);
}

// === Colours ===

// By the probability of a tag, on a scale from 0 to its highest.
function byTag(tag) {
  const p = Float32Array.from({ length: count }, (_, i) => probability(i, tag));
  const top = p.reduce((a, b) => Math.max(a, b), 0.05); // less is not worth a scale
  return {
    looks: Uint8Array.from(p, (value) => Math.round((value / top) * (LEVELS - 1))),
    order: Uint32Array.from(p.keys()).sort((a, b) => p[a] - p[b]),
    styles: () => Array.from({ length: LEVELS }, (_, k) => ["circle", mix(colours("scale"), k / (LEVELS - 1))]),
    legend() {
      const scale = element("span");
      scale.append("0 %", element("span", undefined, "ramp"), percent(top));
      const from = `predicted from ${percent(threshold(tag))}`;
      return [element("span", `Probability of ${data.tags[tag]}:`), scale, element("span", from, "soft")];
    },
  };
}

// By the strongest tag of a dimension.
function byDimension(dimension) {
  const tags = data.dimensions[dimension];
  const best = Array.from({ length: count }, (_, i) => tags.reduce((a, b) => (probability(i, b) > probability(i, a) ? b : a)));
  return byKind(best.map((tag) => data.tags[tag]), tags.map((tag) => data.tags[tag]), `Strongest tag of ${dimension}`);
}

function recolour() {
  const [how, name] = $("colour").value.split(/:(.*)/s);
  colouring = how === "tag" ? byTag(Number(name)) : byDimension(name);
  picture.look(colouring);
  showLegend();
}

const showLegend = () => $("legend").replaceChildren(...colouring.legend());

// === List and controls ===

function showList() {
  listed = [];
  for (let i = 0; i < count; i++) if (!shown || shown[i]) listed.push(i);
  $("found").textContent = shown ? `${listed.length} of ${count} tracks` : "";
  $("list").replaceChildren();
  showMore();
}

function showMore() {
  const start = $("list").childElementCount;
  for (const i of listed.slice(start, start + PAGE)) {
    const row = element("li"), artist = data.artists[i] ? ` · ${data.artists[i]}` : "";
    const tags = dimensions.flatMap((name) => strongest(i, name, 2).filter(({ above }) => above).map((tag) => tag.name));
    row.append(trackLink(i), element("span", `${artist} · ${clock(data.seconds[i])} · ${tags.join(", ") || "no tag"}`, "soft"));
    $("list").append(row);
  }
  const left = listed.length - Math.min(listed.length, start + PAGE);
  $("more").hidden = !left;
  $("more").textContent = `Show more (${left} left)`;
}

$("colour").addEventListener("change", recolour);
$("space")?.addEventListener("change", (event) => {
  space = Number(event.target.value);
  showTip(-1);
  picture.travel(spaces[space].places);
  $("method").textContent = spaces[space].method;
  showNear();
});
$("search").addEventListener("input", (event) => {
  shown = matches(event.target.value);
  showTip(-1);
  showList();
  picture.filter(shown);
});
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("more").addEventListener("click", showMore);
$("in").addEventListener("click", () => picture.zoom(1.5));
$("out").addEventListener("click", () => picture.zoom(1 / 1.5));
$("fit").addEventListener("click", picture.fit);
onRecolour(showLegend);

$("method").textContent = spaces[0].method;
recolour();
showList();
