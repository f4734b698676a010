// The canvas: where points are, how they look, and what lies under the pointer.
const canvas = $("map");
const pen = canvas.getContext("2d");
const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const SHAPES = ["circle", "square", "up", "diamond", "down", "cross", "hexagon"];
const LEVELS = 24; // of a colour scale: each is drawn once and then stamped
const FADED = 0.13;

const view = { space: 0, x: 0, y: 0, zoom: 1, colour: null, shown: null, chosen: -1, under: -1, printing: false };
const places = Float32Array.from(spaces[0].places); // between two spaces while they change
let width = 1, height = 1, image = null, words = null, stamps = [], stampsFor = "";

const theme = () => (dark.matches && !view.printing ? "dark" : "light");
const PAPER = { "--back": "#fff", "--text": "#000" };
const style = (name) => view.printing ? PAPER[name] : getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const unit = () => (Math.min(width, height) / 2 - 16) * view.zoom;
const screenX = (i) => width / 2 + (places[2 * i] - view.x) * unit();
const screenY = (i) => height / 2 - (places[2 * i + 1] - view.y) * unit();
const radius = () => {
  const base = count > 10000 ? 2 : count > 2500 ? 2.75 : count > 600 ? 3.75 : 5;
  return Math.round(2 * base * Math.min(2.5, Math.max(1, view.zoom ** 0.35))) / 2;
};

function mix(stops, share) {
  const at = share * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
  const part = (stop, k) => parseInt(stop.slice(1 + 2 * k, 3 + 2 * k), 16);
  const between = (k) => Math.round(part(stops[i], k) + (part(stops[i + 1], k) - part(stops[i], k)) * (at - i));
  return `rgb(${between(0)} ${between(1)} ${between(2)})`;
}

function trace(to, shape, x, y, r) {
  to.beginPath();
  if (shape === "circle") return to.arc(x, y, r, 0, 2 * Math.PI);
  const corners = { square: [4, 0.25, 1.2], diamond: [4, 0, 1.35], up: [3, 0, 1.4], down: [3, 0.5, 1.4], hexagon: [6, 0, 1.15] };
  if (shape === "cross") {
    const a = r * 0.45, b = r * 1.2;
    for (const [u, v] of [[a, b], [a, a], [b, a], [b, -a], [a, -a], [a, -b], [-a, -b], [-a, -a], [-b, -a], [-b, a], [-a, a], [-a, b]])
      to.lineTo(x + u, y + v);
  } else {
    const [n, turn, size] = corners[shape];
    for (let k = 0; k < n; k++) {
      const angle = (2 * Math.PI * (k + turn * (shape === "square" ? 2 : 1) * (n === 4 ? 1 : n / 3))) / n - Math.PI / 2;
      to.lineTo(x + r * size * Math.cos(angle), y + r * size * Math.sin(angle));
    }
  }
  to.closePath();
}

function stamp(shape, colour, r, ratio) {
  const side = Math.ceil((2 * r * 1.5 + 2) * ratio), made = document.createElement("canvas");
  made.width = made.height = side;
  const to = made.getContext("2d", { willReadFrequently: true });
  to.scale(ratio, ratio);
  trace(to, shape, side / ratio / 2, side / ratio / 2, r);
  to.fillStyle = colour;
  to.fill();
  to.lineWidth = 0.75;
  to.strokeStyle = style("--back"); // an edge, so that points that overlap stay apart
  to.stroke();
  return made;
}

// A stamp's pixels, as `press` wants them.
function inked(made) {
  const side = made.width, pixels = made.getContext("2d").getImageData(0, 0, side, side).data;
  return { side, pixels, words: new Uint32Array(pixels.buffer) };
}

// Stamp into the image by hand, pixel by pixel: thousands of drawImage are slow where no graphics card helps.
function press({ side, pixels, words: ink }, x, y, strength) {
  const across = image.width, into = image.data;
  const firstU = Math.max(0, -x), lastU = Math.min(side, across - x), lastV = Math.min(side, image.height - y);
  for (let v = Math.max(0, -y); v < lastV; v++) {
    for (let u = firstU; u < lastU; u++) {
      const from = v * side + u, alpha = pixels[4 * from + 3] * strength;
      if (!alpha) continue;
      const to = (y + v) * across + x + u;
      if (alpha === 255) { words[to] = ink[from]; continue; }
      for (let c = 0; c < 3; c++) into[4 * to + c] += ((pixels[4 * from + c] - into[4 * to + c]) * alpha) / 255;
    }
  }
}

// A colour as one pixel.
function word(colour) {
  const one = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  one.fillStyle = colour;
  one.fillRect(0, 0, 1, 1);
  return new Uint32Array(one.getImageData(0, 0, 1, 1).data.buffer)[0];
}

// Look k of the colouring: a level of the scale, or a kind; the last kind is all others.
function look(colouring, k) {
  if (colouring.tag !== undefined) return ["circle", mix(data.scales[theme()], k / (LEVELS - 1))];
  const colours = data.kinds[theme()];
  return k < colouring.kinds.length ? [SHAPES[k], colours[k]] : ["circle", data.others[theme()]];
}

// How all tracks look: `looks` one number a track, `order` from back to front.
function colouring(choice) {
  const [how, name] = [choice.slice(0, choice.indexOf(":")), choice.slice(choice.indexOf(":") + 1)];
  const order = Uint32Array.from({ length: count }, (_, i) => i), looks = new Uint8Array(count);
  if (how === "tag") {
    const tag = Number(name);
    let top = 13; // 5 %: less is not worth a scale
    for (let i = 0; i < count; i++) top = Math.max(top, probability(i, tag));
    for (let i = 0; i < count; i++) looks[i] = Math.round((probability(i, tag) / top) * (LEVELS - 1));
    order.sort((a, b) => probability(a, tag) - probability(b, tag));
    return { tag, top, looks, order, size: LEVELS };
  }
  const tags = data.dimensions[name], best = new Uint16Array(count), totals = new Map(tags.map((tag) => [tag, 0]));
  for (let i = 0; i < count; i++) {
    best[i] = tags.reduce((a, b) => (probability(i, b) > probability(i, a) ? b : a));
    totals.set(best[i], totals.get(best[i]) + 1);
  }
  const kinds = tags.filter((tag) => totals.get(tag)).sort((a, b) => totals.get(b) - totals.get(a)).slice(0, SHAPES.length);
  for (let i = 0; i < count; i++) looks[i] = kinds.includes(best[i]) ? kinds.indexOf(best[i]) : kinds.length;
  order.sort((a, b) => looks[b] - looks[a]);
  const others = order.reduce((sum, i) => sum + (looks[i] === kinds.length), 0);
  return { dimension: name, kinds, totals, others, looks, order, size: kinds.length + 1 };
}

let asked = 0;
const redraw = () => { if (!asked) asked = requestAnimationFrame(() => { asked = 0; draw(); }); };

function draw() {
  const ratio = canvas.width / width, r = radius(), { colour, shown } = view;
  const key = [r, ratio, theme(), $("colour").value].join();
  if (key !== stampsFor) {
    stamps = Array.from({ length: colour.size }, (_, k) => inked(stamp(...look(colour, k), r, ratio)));
    stampsFor = key;
    showLegend();
  }
  words.fill(word(style("--back")));
  const side = stamps[0].side, half = side / 2, scale = unit() * ratio;
  const left = canvas.width / 2 - view.x * scale - half, top = canvas.height / 2 + view.y * scale - half;
  for (const faded of shown ? [true, false] : [false]) {
    for (const i of colour.order) {
      if (shown && !shown[i] !== faded) continue;
      const x = Math.round(left + places[2 * i] * scale), y = Math.round(top - places[2 * i + 1] * scale);
      if (x > -side && y > -side && x < canvas.width && y < canvas.height)
        press(stamps[colour.looks[i]], x, y, faded ? FADED : 1);
    }
  }
  pen.putImageData(image, 0, 0);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (view.chosen >= 0) mark(view.chosen, r);
  if (view.under >= 0 && view.under !== view.chosen) ring(view.under, r + 3, 2);
}

function ring(i, r, thick) {
  pen.beginPath();
  pen.arc(screenX(i), screenY(i), r, 0, 2 * Math.PI);
  pen.lineWidth = thick;
  pen.strokeStyle = style("--text");
  pen.stroke();
}

// The chosen track, and thin lines to its neighbours.
function mark(i, r) {
  pen.beginPath();
  for (const j of near(i)) {
    pen.moveTo(screenX(i), screenY(i));
    pen.lineTo(screenX(j), screenY(j));
  }
  pen.lineWidth = 1;
  pen.strokeStyle = style("--text");
  pen.globalAlpha = 0.45;
  pen.stroke();
  pen.globalAlpha = 1;
  ring(i, r + 4, 3);
}

// Where there are fewer, as of silent tracks, the rest are the track itself.
const near = (i) => spaces[view.space].near.subarray(i * neighbours, (i + 1) * neighbours).filter((j) => j !== i);

// The track nearest to a place on the canvas, within reach; those that the search hides are not there.
function hit(x, y, reach) {
  let best = -1, least = (reach + radius()) ** 2;
  for (let i = 0; i < count; i++) {
    if (view.shown && !view.shown[i]) continue;
    const d = (screenX(i) - x) ** 2 + (screenY(i) - y) ** 2;
    if (d <= least) [best, least] = [i, d];
  }
  return best;
}

// The nearest track in a direction, within 45 degrees of it.
function beside(i, dx, dy) {
  let best = -1, least = Infinity;
  for (let j = 0; j < count; j++) {
    if (j === i || (view.shown && !view.shown[j])) continue;
    const x = screenX(j) - screenX(i), y = screenY(j) - screenY(i), along = x * dx + y * dy, across = Math.abs(x * dy - y * dx);
    if (along > 0 && across <= along && along + 2 * across < least) [best, least] = [j, along + 2 * across];
  }
  return best;
}

function zoomAt(factor, x = width / 2, y = height / 2) {
  const before = unit();
  view.zoom = Math.min(200, Math.max(0.5, view.zoom * factor));
  const change = 1 / before - 1 / unit();
  view.x += (x - width / 2) * change;
  view.y -= (y - height / 2) * change;
  redraw();
}

function pan(dx, dy) {
  view.x -= dx / unit();
  view.y += dy / unit();
  redraw();
}

function fit() {
  Object.assign(view, { x: 0, y: 0, zoom: 1 });
  redraw();
}

// Bring a track into the picture if it is outside.
function reveal(i) {
  const x = screenX(i), y = screenY(i);
  if (x < 20 || y < 20 || x > width - 20 || y > height - 20) pan(width / 2 - x, height / 2 - y);
}

let moving = 0;
function travel(space) {
  view.space = space;
  const from = Float32Array.from(places), to = spaces[space].places, start = performance.now(), time = still.matches ? 0 : 600;
  const me = ++moving;
  const step = (now) => {
    if (me !== moving) return;
    const share = time ? Math.min(1, Math.max(0, (now - start) / time)) : 1, eased = share * share * (3 - 2 * share);
    for (let k = 0; k < places.length; k++) places[k] = from[k] + (to[k] - from[k]) * eased;
    draw();
    if (share < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function resize() {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  if (!box.width || !box.height) return;
  [width, height] = [box.width, box.height];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  image = pen.createImageData(canvas.width, canvas.height);
  words = new Uint32Array(image.data.buffer);
  draw();
}
