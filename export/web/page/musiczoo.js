// Recognise and compare music in a browser. MIT licence, the musiczoo authors.
//
//   import { load, similarity } from "./musiczoo.js";
//   const model = await load();
//   const track = await model.analyze(await model.decode(file)); // a File, Blob or ArrayBuffer
//   track.tags.top(5);                                           // [{ name: "rock", probability: 0.83 }, ...]
//   similarity(track, other, { genre: 1, mood: 0.5 });           // { score: 0.71, dimensions: { genre: 0.8, ... } }
//
// The numbers are those of the Python package: the same graph, the same excerpts, the same means. Only decoding is the
// browser's own. The graph runs in a worker, so that a page never waits, and nothing is sent anywhere.

/** Audio that cannot be decoded, is empty, or holds values that are not finite. */
export class AudioError extends Error {
  name = "AudioError";
}

/** An argument of the wrong type or range. */
export class InputError extends Error {
  name = "InputError";
}

/**
 * Load a model.
 * @param {string|URL} folder Address of the folder with card.json and model.onnx; by default the one beside this file.
 * @returns {Promise<Model>}
 */
export async function load(folder = new URL("model/", import.meta.url)) {
  const place = new URL(`${String(folder).replace(/\/$/, "")}/`, document.baseURI);
  const response = await fetch(new URL("card.json", place));
  if (!response.ok) throw new Error(`Expected a model's card.json in ${place}, got HTTP ${response.status}.`);
  const model = new Model(await response.json());
  try {
    await model._ask({ model: new URL("model.onnx", place).href });
  } catch (error) {
    model.close();
    throw error;
  }
  return model;
}

/** A loaded model: see `load`. `card` is everything to know about it, as card.json says it. */
export class Model {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #asked = 0;
  #ended = null; // an Error when the worker cannot answer any more

  constructor(card) {
    this.card = card;
    this.#worker.addEventListener("message", ({ data: { id, error, ...answer } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#giveUp(new Error(`The worker failed: ${event.message ?? "worker.js or onnxruntime/ cannot be loaded"}.`));
    });
  }

  /**
   * Decode a file at the model's rate. What formats a browser knows is its own business: MP3, AAC, FLAC, Vorbis, Opus
   * and WAV in most.
   * @param {Blob|ArrayBuffer} source A file's bytes; an ArrayBuffer is used up.
   * @returns {Promise<AudioBuffer>}
   * @throws {AudioError} If this browser cannot decode it.
   */
  async decode(source) {
    const bytes = source instanceof Blob ? await source.arrayBuffer() : source;
    const { byteLength } = bytes;
    try {
      // A context of the right rate converts while it decodes. Rendering a decoded buffer into one would alias.
      return await new OfflineAudioContext(1, 1, this.card.sample_rate).decodeAudioData(bytes);
    } catch (error) {
      throw new AudioError(`Expected audio that this browser can decode, got ${byteLength} bytes that it cannot.`, {
        cause: error,
      });
    }
  }

  /**
   * Analyze a song. The last excerpt is dropped if it is not whole, unless there is no other: that one is padded.
   * Silent excerpts do not count; their rows are zeros.
   * @param {AudioBuffer|Float32Array} audio At the card's sample rate, in [-1, 1]. Channels are averaged.
   * @param {object} [options]
   * @param {number|null} [options.hop] Seconds from one excerpt's start to the next's; null is back to back.
   * @param {(done: number) => void} [options.onProgress] Called after each excerpt with the share that is done, 0 to 1.
   * @param {AbortSignal} [options.signal] Stops it: the promise is then rejected with the signal's reason.
   * @returns {Promise<Track>}
   * @throws {InputError} If an argument is malformed.
   * @throws {AudioError} If it is empty, or holds a value that is not finite.
   */
  async analyze(audio, { hop = 3, onProgress, signal } = {}) {
    const { sample_rate: rate, excerpt_samples: size } = this.card;
    const channels = channelsOf(audio, rate);
    const total = channels[0].length;
    const step = hop === null ? size : Math.round(hop * rate);
    if (!(Number.isFinite(step) && step >= 1)) {
      throw new InputError(`Expected hop as a positive number of seconds, got ${hop}.`);
    }
    await checkFinite(channels, rate);
    const times = [], embeddings = [], taggram = [];
    for (let start = 0; start === 0 || start + size <= total; start += step) {
      signal?.throwIfAborted();
      const waveform = mono(channels, start, size);
      const { embedding, tags } = isSilent(waveform)
        ? { embedding: new Float32Array(this.card.embedding_size), tags: new Float32Array(this.card.tags.length) }
        : await this._ask({ waveform }, [waveform.buffer]);
      if (![...embedding, ...tags].every(Number.isFinite)) {
        throw new AudioError(`Expected samples in [-1, 1], got some too large for ${this.card.name}. Scale them.`);
      }
      times.push(start / rate);
      embeddings.push(embedding);
      taggram.push(tags);
      onProgress?.(Math.min(1, (start + Math.max(step, size)) / total));
    }
    return new Track(this.card, { times, embeddings, taggram, duration: total / rate, padded: total < size });
  }

  /** End the worker. The model cannot be used any more. */
  close() {
    this.#worker.terminate();
    this.#giveUp(new Error("The model was closed."));
  }

  _ask(question, transfer = []) {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#asked, { resolve, reject });
      this.#worker.postMessage({ id: this.#asked, ...question }, transfer);
    });
  }

  #giveUp(reason) {
    this.#ended = reason;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }
}

/**
 * One analysed song.
 *
 * duration: seconds; model, spaceId: of the model; tags: `Tags`, means of the excerpts' probabilities; embedding:
 * Float32Array, the mean of the excerpts' embeddings with each space scaled back to its length; taggram and embeddings:
 * a Float32Array for each excerpt; times: seconds at which the excerpts start; padded: whether zeros were added; card.
 */
export class Track {
  constructor(card, { times, embeddings, taggram, duration, padded }) {
    Object.assign(this, { card, times, embeddings, taggram, duration, padded, model: card.name, spaceId: card.space_id });
    this.tags = new Tags(card, Float32Array.from(mean(taggram)));
    const whole = mean(embeddings), spaces = Object.values(card.spaces);
    if (card.normalized !== false) {
      for (const [start, stop] of spaces) whole.set(scaled(whole.subarray(start, stop), spaces.length ** -0.5), start);
    }
    this.embedding = Float32Array.from(whole);
  }

  /** The embedding in one dimension's sub-space: a unit vector, or zeros if all excerpts were silent. */
  space(dimension) {
    const range = this.card.spaces[dimension];
    if (!range) throw unknown("space", dimension, Object.keys(this.card.spaces));
    return scaled(this.embedding.subarray(...range), 1);
  }
}

/** A song's tags, { name, probability } each, in the order of the card; `probabilities` is a Float32Array. */
export class Tags {
  constructor(card, probabilities) {
    Object.assign(this, { card, probabilities });
  }

  *[Symbol.iterator]() {
    for (const [i, name] of this.card.tags.entries()) yield { name, probability: this.probabilities[i] };
  }

  /** The probability of one tag. */
  get(name) {
    const i = this.card.tags.indexOf(name);
    if (i < 0) throw unknown("tag", name, this.card.tags);
    return this.probabilities[i];
  }

  /** The k likeliest tags, highest first. */
  top(k = 5) {
    return highestFirst(this).slice(0, k);
  }

  /** The predicted tags: those whose probability reaches the card's threshold. Highest first. */
  aboveThreshold() {
    return highestFirst(this).filter(({ name, probability }) => probability >= this.card.thresholds[name]);
  }

  /** Dimension -> its tags, highest first. */
  byDimension() {
    const ranked = highestFirst(this);
    const of = (names) => ranked.filter(({ name }) => names.includes(name));
    return Object.fromEntries(Object.entries(this.card.dimensions).map(([dimension, names]) => [dimension, of(names)]));
  }
}

/**
 * How near two songs are.
 * @param {Track} a
 * @param {Track} b
 * @param {Object<string, number>} [weights] Dimension -> how much it counts; those left out do not. By default all do.
 * @returns {{score: number, dimensions: Object<string, number>}} The cosine in each dimension, and their weighted mean.
 * @throws {InputError} If the tracks are of different models, or weights are unknown, negative or all zero.
 */
export function similarity(a, b, weights) {
  if (a.spaceId !== b.spaceId) {
    throw new InputError(`Expected two tracks of one embedding space, got ${a.spaceId} and ${b.spaceId}.`);
  }
  const names = Object.keys(a.card.spaces);
  weights ??= Object.fromEntries(names.map((name) => [name, 1]));
  for (const name of Object.keys(weights)) if (!names.includes(name)) throw unknown("dimension", name, names);
  const values = Object.values(weights), sum = values.reduce((x, y) => x + y, 0);
  if (!values.every((weight) => weight >= 0) || !(sum > 0) || !Number.isFinite(sum)) {
    throw new InputError(`Expected weights of 0 or more, one of them above 0, got ${JSON.stringify(weights)}.`);
  }
  const cosine = (name) => dot(a.space(name), b.space(name));
  const dimensions = Object.fromEntries(names.map((name) => [name, cosine(name)]));
  const score = names.reduce((total, name) => total + (weights[name] ?? 0) * dimensions[name], 0) / sum;
  return { score, dimensions };
}

function channelsOf(audio, rate) {
  let channels;
  if (audio instanceof Float32Array) channels = [audio];
  else if (audio instanceof AudioBuffer) {
    if (audio.sampleRate !== rate) {
      throw new InputError(`Expected ${rate} Hz, got ${audio.sampleRate}. Decode the file with model.decode.`);
    }
    channels = Array.from({ length: audio.numberOfChannels }, (_, i) => audio.getChannelData(i));
  } else throw new InputError(`Expected an AudioBuffer or a Float32Array, got ${audio?.constructor?.name ?? audio}.`);
  if (!channels[0].length) throw new AudioError("Expected audio, got 0 samples.");
  return channels;
}

// Samples start to start + size, channels averaged, zeros after the end.
function mono(channels, start, size) {
  const mixed = new Float32Array(size);
  for (const channel of channels) {
    const part = channel.subarray(start, start + size);
    for (let i = 0; i < part.length; i++) mixed[i] += part[i];
  }
  if (channels.length > 1) for (let i = 0; i < size; i++) mixed[i] /= channels.length;
  return mixed;
}

// A million samples at a time, with a pause in which the page can answer its user.
async function checkFinite(channels, rate, block = 1e6) {
  for (let start = 0; start < channels[0].length; start += block) {
    for (const channel of channels) {
      const stop = Math.min(start + block, channel.length);
      for (let i = start; i < stop; i++) {
        if (!Number.isFinite(channel[i])) {
          throw new AudioError(`Expected finite samples, got ${channel[i]} at ${(i / rate).toFixed(3)} s.`);
        }
      }
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
}

// Whether the RMS of the samples about their mean is below two steps of 16 bits, as in the Python package.
function isSilent(samples) {
  let sum = 0, squares = 0;
  for (const x of samples) { sum += x; squares += x * x; }
  return squares / samples.length - (sum / samples.length) ** 2 < (2 / 32768) ** 2;
}

// Of the rows that are not zeros, which are those of silent excerpts.
function mean(rows) {
  const sums = new Float64Array(rows[0].length), counted = rows.filter((row) => row.some((value) => value !== 0));
  for (const row of counted) for (let i = 0; i < row.length; i++) sums[i] += row[i];
  return sums.map((sum) => sum / Math.max(1, counted.length));
}

// The vector at another length; zeros stay zeros.
function scaled(vector, length) {
  const norm = Math.sqrt(dot(vector, vector));
  return vector.map((value) => (norm ? (value * length) / norm : value));
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const highestFirst = (tags) => [...tags].sort((a, b) => b.probability - a.probability);

const unknown = (kind, name, available) =>
  new InputError(`Unknown ${kind} "${name}". Available: ${available.join(", ")}.`);
