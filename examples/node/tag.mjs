// Tags and embedding of a song in Node: node tag.mjs MODEL_FOLDER song.wav
// The song as 32-bit floats, mono, at the model's rate: ffmpeg -i song.mp3 -ac 1 -ar 22050 -c:a pcm_f32le song.wav
import { readFileSync } from "node:fs";
import { join } from "node:path";

process.env.ORT_DISABLE_TELEMETRY ??= "1"; // read when it is imported
const { default: ort } = await import("onnxruntime-node");
const [folder, song] = process.argv.slice(2);
const card = JSON.parse(readFileSync(join(folder, "card.json"), "utf8"));
const session = await ort.InferenceSession.create(join(folder, "model.onnx"));
const wav = readFileSync(song), chunks = {};
for (let at = 12; at + 8 <= wav.length; at += 8 + wav.readUInt32LE(at + 4) + (wav.readUInt32LE(at + 4) % 2))
  chunks[wav.toString("latin1", at, at + 4)] = wav.subarray(at + 8, at + 8 + wav.readUInt32LE(at + 4));
const format = chunks["fmt "];
const [code, channels] = [format.readUInt16LE(0), format.readUInt16LE(2)];
const [rate, bits] = [format.readUInt32LE(4), format.readUInt16LE(14)];
if (code === 1 || bits !== 32 || channels !== 1 || rate !== card.sample_rate)
  throw new Error(`${song}: expected 32-bit floats, mono, at ${card.sample_rate} Hz.`);
const samples = new Float32Array(Math.max(chunks.data.length >> 2, card.excerpt_samples)); // zeros after a short song
for (let i = 0; i < chunks.data.length >> 2; i++) samples[i] = chunks.data.readFloatLE(4 * i);

const size = card.excerpt_samples, embedding = Array(card.embedding_size).fill(0), tags = card.tags.map(() => 0);
const count = Math.floor((samples.length - size) / (3 * rate)) + 1;
for (let n = 0, start = 0; n < count; n++, start += 3 * rate) {
  const waveform = new ort.Tensor("float32", samples.slice(start, start + size), [1, size]);
  const outputs = await session.run({ waveform });
  outputs.embedding.data.forEach((value, i) => (embedding[i] += value / count));
  outputs.tags.data.forEach((value, i) => (tags[i] += value / count));
}
const spaces = Object.values(card.spaces);
for (const [start, stop] of card.normalized ? spaces : []) {
  const length = Math.hypot(...embedding.slice(start, stop)) * Math.sqrt(spaces.length) || 1;
  for (let i = start; i < stop; i++) embedding[i] /= length;
}
console.log(JSON.stringify({ tags: Object.fromEntries(card.tags.map((tag, i) => [tag, tags[i]])), embedding }));
