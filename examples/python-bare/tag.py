"""Tags and embedding of a song with onnxruntime only: python tag.py model.onnx song.flac"""

import json
import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported

import numpy as np
import onnxruntime
import soundfile
import soxr

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = {key.removeprefix("musiczoo."): value for key, value in session.get_modelmeta().custom_metadata_map.items()}
rate, size, spaces, tags = (json.loads(about[key]) for key in ("sample_rate", "excerpt_samples", "spaces", "tags"))
samples, source_rate = soundfile.read(sys.argv[2], dtype="float32", always_2d=True)
mono = soxr.resample(samples.mean(axis=1), source_rate, rate, quality="HQ")
mono = np.pad(mono, (0, max(0, size - len(mono))))
excerpts = [mono[np.newaxis, start : start + size] for start in range(0, len(mono) - size + 1, 3 * rate)]
excerpts = [excerpt for excerpt in excerpts if excerpt.std() >= 2 / 32768] or sys.exit("silence")
outputs = [session.run(["embedding", "tags"], {"waveform": excerpt}) for excerpt in excerpts]
embedding, probabilities = (np.concatenate(rows).mean(axis=0, dtype=np.float64) for rows in zip(*outputs, strict=True))
for start, stop in spaces.values() if json.loads(about["normalized"]) else ():
    embedding[start:stop] /= max(np.linalg.norm(embedding[start:stop]) * len(spaces) ** 0.5, 1e-12)
print(json.dumps({"tags": dict(zip(tags, probabilities.tolist(), strict=True)), "embedding": embedding.tolist()}))
