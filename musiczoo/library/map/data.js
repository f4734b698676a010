// What the page holds, unpacked.
import { finder, stem } from "./web/text.js";

export const data = JSON.parse(document.getElementById("data").textContent);
export const count = data.paths.length;
export const dimensions = Object.keys(data.dimensions);

const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const probabilities = bytes(data.probabilities), neighbours = Math.max(0, Math.min(data.neighbours, count - 1));
const Index = count <= 65536 ? Uint16Array : Uint32Array;

export const spaces = data.spaces.map((space, number) => {
  const near = new Index(bytes(space.near).buffer), cosines = bytes(space.cosines);
  return {
    label: `the ${number ? space.name : "whole"} space`,
    method: space.method,
    places: Float32Array.from(new Uint16Array(bytes(space.places).buffer), (step) => step / 32767.5 - 1),
    // Where there are fewer, as of silent tracks, the rest are the track itself.
    near: (i) => Array.from(near.subarray(i * neighbours, (i + 1) * neighbours),
      (j, k) => [j, cosines[i * neighbours + k] / 255]).filter(([j]) => j !== i),
  };
});

// A path with slashes as part of a URL.
const escaped = (path) => path.split("/").map(encodeURIComponent).join("/");
export const address = (i) => data.base + (data.urls[i] ?? escaped(data.paths[i]));
export const title = (i) => data.titles[i] || stem(data.paths[i]);
export const probability = (i, tag) => probabilities[i * data.tags.length + tag] / 255;

/** The k likeliest tags of a dimension in one track, highest first: { tag, name, probability, above } each. */
export const strongest = (i, dimension, k) =>
  data.dimensions[dimension]
    .map((tag) => ({ tag, name: data.tags[tag], probability: probability(i, tag), above: probability(i, tag) >= threshold(tag) }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, k);

export const threshold = (tag) => data.thresholds[tag] / 255;

let found = null; // made when somebody searches
export const matches = (query) => (found ??= finder(data.paths.map((path, i) => `${data.titles[i]} ${data.artists[i]} ${path}`)))(query);
