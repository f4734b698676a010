// The thread that runs the model. Asked {id, model} once, then {id, waveform}; answers {id, ...} or {id, error}.
import * as ort from "./onnxruntime/ort.wasm.min.js";

const here = (path) => new URL(path, import.meta.url).href;
ort.env.wasm.wasmPaths = {
  mjs: here("onnxruntime/ort-wasm-simd-threaded.js"),
  wasm: here("onnxruntime/ort-wasm-simd-threaded.wasm"),
};
ort.env.wasm.numThreads = 1; // more take headers that plain file servers do not send

let session;

async function load(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`Expected a model at ${address}, got HTTP ${response.status}.`);
  session = await ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()));
  return {};
}

async function run(waveform) {
  const input = new ort.Tensor("float32", waveform, [1, waveform.length]);
  const { embedding, tags } = await session.run({ waveform: input }, ["embedding", "tags"]);
  return { embedding: embedding.data, tags: tags.data };
}

self.addEventListener("message", async ({ data: { id, model, waveform } }) => {
  try {
    self.postMessage({ id, ...(await (model ? load(model) : run(waveform))) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
});
