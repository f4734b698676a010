// Points on a canvas, to be moved, zoomed and chosen by pointer, touch and keys.
import { colour, onRecolour, rgb } from "./colours.js";

const PATHS = {
  circle: "M1 0A1 1 0 1 1 -1 0A1 1 0 1 1 1 0Z",
  square: "M-.85 -.85H.85V.85H-.85Z",
  up: "M0 -1.4L1.21 .7H-1.21Z",
  diamond: "M0 -1.35L1.35 0L0 1.35L-1.35 0Z",
  down: "M0 1.4L1.21 -.7H-1.21Z",
  cross: "M-.45 -1.2H.45V-.45H1.2V.45H.45V1.2H-.45V.45H-1.2V-.45H-.45Z",
  hexagon: "M0 -1.15L1 -.575V.575L0 1.15L-1 .575V-.575Z",
};

/** The shapes of kinds of points, in the order of the colours of kinds. */
export const SHAPES = Object.keys(PATHS);

const FADED = 0.13; // what a filter leaves of the others
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** One point as a canvas of its own: `r` its radius in pixels of the page, `ratio` dots in each of them. */
export function symbol([shape, fill], r, ratio) {
  const side = Math.ceil((2 * r * 1.5 + 2) * ratio), made = document.createElement("canvas");
  made.width = made.height = side;
  const to = made.getContext("2d", { willReadFrequently: true });
  to.translate(side / 2, side / 2);
  to.scale(r * ratio, r * ratio);
  const path = new Path2D(PATHS[shape]);
  to.fillStyle = fill;
  to.fill(path);
  to.lineWidth = 0.75 / r;
  to.strokeStyle = colour("back"); // an edge, so that points that overlap stay apart
  to.stroke(path);
  return made;
}

// A symbol's pixels, as `press` wants them.
function inked(made) {
  const side = made.width, pixels = made.getContext("2d").getImageData(0, 0, side, side).data;
  return { side, pixels, words: new Uint32Array(pixels.buffer) };
}

// A colour as one number, as an image's pixels are.
const pixel = (hex) => new Uint32Array(Uint8Array.of(...rgb(hex), 255).buffer)[0];

/**
 * Draw points, and let them be explored.
 * @param {HTMLCanvasElement} canvas Its size is the style sheet's.
 * @param {Float32Array} start x and y of each point, from -1 to 1, y upwards.
 * @param {object} page What the page does:
 * @param {(i: number, play: boolean) => void} page.choose A point was chosen: to play it (a click, Enter) or to look at it (arrows).
 * @param {(i: number) => void} page.hover The pointer is over a point, or over none: -1.
 * @param {() => void} page.release Escape was pressed.
 * @param {(i: number) => Iterable<number>} page.near The points to which lines lead from a chosen one.
 */
export function points(canvas, start, page) {
  const pen = canvas.getContext("2d"), count = start.length / 2, places = Float32Array.from(start);
  const view = { x: 0, y: 0, zoom: 1, shown: null, chosen: -1, under: -1 };
  let width = 1, height = 1, image = null, words = null; // `words`: the image, a number a pixel
  let look = null, stamps = null, stampsFor = "", asked = 0, moving = 0;

  const unit = () => (Math.min(width, height) / 2 - 16) * view.zoom;
  const screenX = (i) => width / 2 + (places[2 * i] - view.x) * unit();
  const screenY = (i) => height / 2 - (places[2 * i + 1] - view.y) * unit();
  const radius = () => {
    const base = count > 10000 ? 2 : count > 2500 ? 2.75 : count > 600 ? 3.75 : 5;
    return Math.round(2 * base * Math.min(2.5, Math.max(1, view.zoom ** 0.35))) / 2;
  };

  // === Drawing ===

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

  const redraw = () => { if (!asked) asked = requestAnimationFrame(() => { asked = 0; draw(); }); };

  function draw() {
    if (!look || !image) return;
    const ratio = canvas.width / width, r = radius(), { shown } = view;
    if (!stamps || stampsFor !== `${r} ${ratio}`) {
      stamps = look.styles().map((style) => inked(symbol(style, r, ratio)));
      stampsFor = `${r} ${ratio}`;
    }
    words.fill(pixel(colour("back")));
    const side = stamps[0].side, half = side / 2, scale = unit() * ratio;
    const left = canvas.width / 2 - view.x * scale - half, top = canvas.height / 2 + view.y * scale - half;
    for (const faded of shown ? [true, false] : [false]) {
      for (const i of look.order) {
        if (shown && !shown[i] !== faded) continue;
        const x = Math.round(left + places[2 * i] * scale), y = Math.round(top - places[2 * i + 1] * scale);
        if (x > -side && y > -side && x < canvas.width && y < canvas.height)
          press(stamps[look.looks[i]], x, y, faded ? FADED : 1);
      }
    }
    pen.putImageData(image, 0, 0);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.strokeStyle = colour("text");
    if (view.chosen >= 0) mark(view.chosen, r);
    if (view.under >= 0 && view.under !== view.chosen) ring(view.under, r + 3, 2);
  }

  function ring(i, r, thick) {
    pen.beginPath();
    pen.arc(screenX(i), screenY(i), r, 0, 2 * Math.PI);
    pen.lineWidth = thick;
    pen.stroke();
  }

  // The chosen point, and thin lines to its neighbours.
  function mark(i, r) {
    pen.beginPath();
    for (const j of page.near(i)) {
      pen.moveTo(screenX(i), screenY(i));
      pen.lineTo(screenX(j), screenY(j));
    }
    pen.lineWidth = 1;
    pen.globalAlpha = 0.45;
    pen.stroke();
    pen.globalAlpha = 1;
    ring(i, r + 4, 3);
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

  // === Finding ===

  // The point nearest to a place on the canvas, within reach; those that the filter hides are not there.
  function hit(x, y, reach) {
    let best = -1, least = (reach + radius()) ** 2;
    for (let i = 0; i < count; i++) {
      if (view.shown && !view.shown[i]) continue;
      const d = (screenX(i) - x) ** 2 + (screenY(i) - y) ** 2;
      if (d <= least) [best, least] = [i, d];
    }
    return best;
  }

  // The nearest point in a direction, within 45 degrees of it.
  function beside(i, dx, dy) {
    let best = -1, least = Infinity;
    for (let j = 0; j < count; j++) {
      if (j === i || (view.shown && !view.shown[j])) continue;
      const x = screenX(j) - screenX(i), y = screenY(j) - screenY(i), along = x * dx + y * dy, across = Math.abs(x * dy - y * dx);
      if (along > 0 && across <= along && along + 2 * across < least) [best, least] = [j, along + 2 * across];
    }
    return best;
  }

  // === Moving ===

  function zoom(factor, x = width / 2, y = height / 2) {
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

  /** Let the points travel to other places. */
  function travel(to) {
    const from = Float32Array.from(places), begin = performance.now(), me = ++moving;
    const time = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 600;
    const step = (now) => {
      if (me !== moving) return;
      const share = time ? Math.min(1, Math.max(0, (now - begin) / time)) : 1, eased = share * share * (3 - 2 * share);
      for (let k = 0; k < places.length; k++) places[k] = from[k] + (to[k] - from[k]) * eased;
      draw();
      if (share < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** Mark a point, and bring it into the picture if it is outside; -1 marks none. */
  function choose(i) {
    view.chosen = i;
    const x = i < 0 ? 20 : screenX(i), y = i < 0 ? 20 : screenY(i);
    if (x < 20 || y < 20 || x > width - 20 || y > height - 20) pan(width / 2 - x, height / 2 - y);
    redraw();
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
    if (!before) return page.hover(hit(x, y, 6));
    const earlier = [...pointers.values()];
    pointers.set(event.pointerId, [x, y]);
    dragged += Math.hypot(x - before[0], y - before[1]);
    if (pointers.size === 2) {
      const [was, wasX, wasY] = spread(earlier), [is, isX, isY] = spread([...pointers.values()]);
      pan(isX - wasX, isY - wasY);
      if (was > 0) zoom(is / was, isX, isY);
      dragged = Infinity;
    } else if (dragged > 4) {
      page.hover(-1);
      pan(x - before[0], y - before[1]);
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (pointers.delete(event.pointerId) && !pointers.size && dragged <= 4) {
      const i = hit(...local(event), event.pointerType === "touch" ? 16 : 6);
      if (i >= 0) page.choose(i, true);
      page.hover(-1); // the page says more
    }
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => page.hover(-1));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...local(event));
    page.hover(-1);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key], { chosen } = view;
    if (arrow && event.shiftKey) pan(-60 * arrow[0], -60 * arrow[1]);
    else if (arrow) {
      const i = chosen < 0 ? hit(width / 2, height / 2, Infinity) : beside(chosen, ...arrow);
      if (i >= 0) page.choose(i, false);
    } else if ((event.key === "Enter" || event.key === " ") && chosen >= 0) page.choose(chosen, true);
    else if (event.key === "+" || event.key === "=") zoom(1.3);
    else if (event.key === "-") zoom(1 / 1.3);
    else if (event.key === "0" || event.key === "Home") fit();
    else if (event.key === "Escape") page.release();
    else return;
    event.preventDefault();
  });

  onRecolour(() => { stamps = null; draw(); });
  new ResizeObserver(resize).observe(canvas);
  resize();
  return {
    zoom, fit, travel, choose,
    /** How the points look: `looks` is a number for each, `styles()` the [shape, colour] of these, `order` from back to front. */
    look(next) { look = next; stamps = null; redraw(); },
    /** Let only some stand out: a number a point, or null for all. */
    filter(shown) { view.shown = shown; redraw(); },
    /** Ring a point; -1 for none. */
    ring(i) { view.under = i; redraw(); },
    /** Put an element, such as a note, beside a point and inside the canvas. */
    place(made, i) {
      const x = screenX(i), y = screenY(i), gap = radius() + 8, below = y + gap + made.offsetHeight < height;
      made.style.left = `${Math.max(4, Math.min(x + gap, width - made.offsetWidth - 4))}px`;
      made.style.top = `${below ? y + gap : Math.max(4, y - gap - made.offsetHeight)}px`;
    },
  };
}
