"""The plain way: librosa.load, librosa's log-mel, and the network behind it in onnxruntime.

Arguments: an ONNX file from a log-mel on (see `networks`), and the JSON that says how that is computed.
"""

import json
import sys
from typing import Any

import librosa
import numpy as np
import onnxruntime
from serve import serve

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
how: dict[str, Any] = json.loads(sys.argv[2])


def tag(path: str) -> dict[str, float]:
    """Mean over excerpts, back to back, in one batch."""
    samples, rate = librosa.load(path, sr=how["sample_rate"])
    size = how["excerpt_samples"]
    excerpts = samples[: len(samples) // size * size].reshape(-1, size)
    mel = librosa.feature.melspectrogram(
        y=excerpts, sr=rate, n_fft=how["n_fft"], hop_length=how["hop_length"], n_mels=how["n_mels"]
    )
    log_mel = np.log10(1 + how["gain"] * mel).transpose(0, 2, 1)
    log_mel = ((log_mel - how["mean"]) / how["std"])[:, : how["frames"]].astype(np.float32)
    (tags,) = session.run(["tags"], {"log_mel": log_mel})
    return dict(zip(how["tags"], tags.mean(axis=0).tolist(), strict=True))


if __name__ == "__main__":
    serve(tag)
