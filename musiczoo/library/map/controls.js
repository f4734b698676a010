// What people do, and what the page tells them.
function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function button(i) {
  const made = element("button", title(i), "track");
  made.type = "button";
  made.addEventListener("click", () => choose(i, true));
  return made;
}

// The tags said to apply to a track, at most k of each dimension.
const applying = (i, k) => Object.keys(data.dimensions).flatMap((name) =>
  strongest(i, name, k).filter((tag) => probability(i, tag) >= data.thresholds[tag]).map((tag) => data.tags[tag]));

// The likeliest tags of each dimension with their probabilities.
const told = (i, k) => Object.keys(data.dimensions).map((name) =>
  [name, strongest(i, name, k).map((tag) => `${data.tags[tag]} ${percent(probability(i, tag))}`).join(", ")]);

// === The chosen track ===

function choose(i, play) {
  view.chosen = i;
  $("hint").hidden = true;
  $("chosen").hidden = false;
  $("title").textContent = title(i);
  $("artist").textContent = [data.artists[i], clock(data.seconds[i])].filter(Boolean).join(" · ");
  $("path").textContent = data.root + data.paths[i];
  showTags(i);
  showNear(i);
  const audio = $("audio");
  if (audio.dataset.track !== String(i)) {
    audio.dataset.track = i;
    audio.src = address(i);
    $("trouble").hidden = true;
  }
  if (play) audio.play().catch((error) => { if (error.name === "NotAllowedError") trouble("Press play to hear it."); });
  reveal(i);
  redraw();
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = false;
}

function letGo() {
  view.chosen = view.under = -1;
  $("audio").pause();
  $("hint").hidden = false;
  $("chosen").hidden = $("tip").hidden = true;
  redraw();
}

function showTags(i) {
  $("tags").replaceChildren(...Object.keys(data.dimensions).flatMap((name) => {
    const rows = element("dd");
    for (const tag of strongest(i, name, 3)) {
      const p = probability(i, tag), row = element("div", undefined, p >= data.thresholds[tag] ? "tag applies" : "tag");
      const bar = element("span", undefined, "bar"), fill = element("i");
      fill.style.width = `${(p / 255) * 100}%`;
      bar.append(fill);
      row.append(element("span", data.tags[tag]), bar, element("span", percent(p), "number"));
      rows.append(row);
    }
    return [element("dt", name), rows];
  }));
}

function showNear(i) {
  const { cosines, label } = spaces[view.space];
  $("near-space").textContent = label;
  $("near").replaceChildren(...Array.from(near(i), (j, k) => {
    const row = element("li");
    const rest = [data.artists[j], (cosines[i * neighbours + k] / 255).toFixed(2)].filter(Boolean).join(" · ");
    row.append(button(j), element("span", ` ${rest}`, "soft"));
    return row;
  }));
}

function tell(i) {
  const artist = data.artists[i] ? `, ${data.artists[i]}` : "";
  $("live").textContent = `${title(i)}${artist}. ${told(i, 1).map(([name, tags]) => `${name}: ${tags}`).join("; ")}`;
}

function showTip(i) {
  const tip = $("tip");
  if (view.under !== i) {
    view.under = i;
    redraw();
    tip.hidden = i < 0;
    if (i >= 0) {
      const rows = told(i, 2).map(([name, tags]) => element("span", `${name}: ${tags}`));
      tip.replaceChildren(element("b", title(i)), ...(data.artists[i] ? [element("span", data.artists[i])] : []), ...rows);
    }
  }
  if (i < 0) return;
  const x = screenX(i), y = screenY(i), gap = radius() + 8;
  tip.style.left = `${Math.max(4, Math.min(x + gap, width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${y + gap + tip.offsetHeight < height ? y + gap : Math.max(4, y - gap - tip.offsetHeight)}px`;
}

// === Legend and list ===

function showLegend() {
  const colour = view.colour, legend = $("legend");
  if (colour.tag !== undefined) {
    const ramp = element("span", undefined, "ramp"), stops = data.scales[theme()];
    ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const scale = element("span");
    scale.append("0 %", ramp, percent(colour.top));
    const from = `said to apply from ${percent(data.thresholds[colour.tag])}`;
    legend.replaceChildren(element("span", `Probability of ${data.tags[colour.tag]}:`), scale, element("span", from, "soft"));
    return;
  }
  const entry = (k, text) => {
    const item = element("span"), key = stamp(...look(colour, k), 5, 2);
    const box = element("canvas");
    box.width = box.height = 32;
    box.setAttribute("aria-hidden", "true");
    box.getContext("2d").drawImage(key, 16 - key.width / 2, 16 - key.height / 2);
    item.append(box, text);
    return item;
  };
  const items = colour.kinds.map((tag, k) => entry(k, `${data.tags[tag]} (${colour.totals.get(tag)})`));
  if (colour.others) items.push(entry(colour.kinds.length, `other (${colour.others})`));
  legend.replaceChildren(element("span", `Strongest tag of ${colour.dimension}:`, "soft"), ...items);
}

const PAGE = 60;
let listed = [];
function showList() {
  listed = [];
  for (let i = 0; i < count; i++) if (!view.shown || view.shown[i]) listed.push(i);
  $("found").textContent = view.shown ? `${listed.length} of ${count} tracks` : "";
  $("list").replaceChildren();
  showMore();
}

function showMore() {
  const start = $("list").childElementCount;
  for (const i of listed.slice(start, start + PAGE)) {
    const row = element("li"), artist = data.artists[i] ? ` · ${data.artists[i]}` : "";
    const tags = applying(i, 2).join(", ") || "no tag";
    row.append(button(i), element("span", `${artist} · ${clock(data.seconds[i])} · ${tags}`, "soft"));
    $("list").append(row);
  }
  const left = listed.length - Math.min(listed.length, start + PAGE);
  $("more").hidden = !left;
  $("more").textContent = `Show more (${left} left)`;
}

// === Pointer and keys ===

const pointers = new Map();
let dragged = 0;
const local = (event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};
const spread = ([a, b]) => [Math.hypot(a[0] - b[0], a[1] - b[1]), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

canvas.addEventListener("pointerdown", (event) => {
  if (!pointers.size) dragged = 0;
  pointers.set(event.pointerId, local(event));
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = local(event), before = pointers.get(event.pointerId);
  if (!before) return showTip(hit(x, y, 6));
  const earlier = [...pointers.values()];
  pointers.set(event.pointerId, [x, y]);
  dragged += Math.hypot(x - before[0], y - before[1]);
  if (pointers.size === 2) {
    const [was, wasX, wasY] = spread(earlier), [is, isX, isY] = spread([...pointers.values()]);
    pan(isX - wasX, isY - wasY);
    if (was > 0) zoomAt(is / was, isX, isY);
    dragged = Infinity;
  } else if (dragged > 4) {
    showTip(-1);
    pan(x - before[0], y - before[1]);
  }
});
canvas.addEventListener("pointerup", (event) => {
  if (pointers.delete(event.pointerId) && !pointers.size && dragged <= 4) {
    const i = hit(...local(event), event.pointerType === "touch" ? 16 : 6);
    if (i >= 0) choose(i, true);
    showTip(-1); // the panel says more
  }
});
canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
canvas.addEventListener("pointerleave", () => showTip(-1));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...local(event));
  showTip(-1);
}, { passive: false });

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) pan(-60 * arrow[0], -60 * arrow[1]);
  else if (arrow) go(view.chosen < 0 ? hit(width / 2, height / 2, Infinity) : beside(view.chosen, ...arrow));
  else if ((event.key === "Enter" || event.key === " ") && view.chosen >= 0) choose(view.chosen, true);
  else if (event.key === "+" || event.key === "=") zoomAt(1.3);
  else if (event.key === "-") zoomAt(1 / 1.3);
  else if (event.key === "0" || event.key === "Home") fit();
  else if (event.key === "Escape") letGo();
  else return;
  event.preventDefault();
});

function go(i) {
  if (i < 0) return;
  $("audio").pause();
  choose(i, false);
  showTip(i);
  tell(i);
}

// === Controls ===

function recolour() {
  view.colour = colouring($("colour").value);
  redraw();
}

function showSpace(space) {
  showTip(-1);
  travel(space);
  $("method").textContent = spaces[space].method;
  if (view.chosen >= 0) showNear(view.chosen);
}

$("colour").addEventListener("change", recolour);
$("space")?.addEventListener("change", (event) => showSpace(Number(event.target.value)));
$("search").addEventListener("input", (event) => {
  view.shown = matches(event.target.value);
  showTip(-1);
  showList();
  redraw();
});
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("more").addEventListener("click", showMore);
$("in").addEventListener("click", () => zoomAt(1.5));
$("out").addEventListener("click", () => zoomAt(1 / 1.5));
$("fit").addEventListener("click", fit);
$("audio").addEventListener("error", () => trouble("This file cannot be played: it may have moved, or be of a kind that your browser does not play."));
dark.addEventListener("change", redraw);
for (const [event, printing] of [["beforeprint", true], ["afterprint", false]])
  addEventListener(event, () => { view.printing = printing; draw(); });

$("method").textContent = spaces[0].method;
view.colour = colouring($("colour").value);
showList();
new ResizeObserver(resize).observe(canvas);
resize();
