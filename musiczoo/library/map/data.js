// What the page holds, unpacked. Names from files are only ever written as text (textContent), never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

const count = data.paths.length;
const tagCount = data.tags.length;
const probabilities = bytes(data.probabilities);
const neighbours = Math.max(0, Math.min(data.neighbours, count - 1));
const Index = count <= 65536 ? Uint16Array : Uint32Array;
const spaces = data.spaces.map((space, number) => ({
  label: `the ${number ? space.name : "whole"} space`,
  method: space.method,
  places: Float32Array.from(new Uint16Array(bytes(space.places).buffer), (step) => step / 32767.5 - 1),
  near: new Index(bytes(space.near).buffer),
  cosines: bytes(space.cosines),
}));

// A path with slashes as part of a URL.
const escaped = (path) => path.split("/").map(encodeURIComponent).join("/");
const address = (i) => data.base + (data.urls[i] ?? escaped(data.paths[i]));
const stem = (path) => path.slice(path.lastIndexOf("/") + 1).replace(/(.)\.[^.]*$/, "$1");
const title = (i) => data.titles[i] || stem(data.paths[i]);
const clock = (s) => `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
const percent = (step) => `${Math.round((step / 255) * 100)} %`;
const probability = (i, tag) => probabilities[i * tagCount + tag];

// The likeliest tags of a dimension in one track, highest first.
const strongest = (i, dimension, k) =>
  [...data.dimensions[dimension]].sort((a, b) => probability(i, b) - probability(i, a)).slice(0, k);

let haystacks = null; // made when somebody searches
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
function matches(query) {
  const words = plain(query).split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  haystacks ??= data.paths.map((path, i) => plain(`${data.titles[i]} ${data.artists[i]} ${path}`));
  return Uint8Array.from(haystacks, (text) => words.every((word) => text.includes(word)));
}
