"""Audio files as tf.data, decoded in the graph by tensorflow-io: for pipelines that use it.

Conventions
-----------
- MP3, Ogg Vorbis and FLAC are recognised by their content. Paths may be anything that `tf.io.read_file` opens,
  ``gs://`` too.
- Samples are float32 mono, nominally in [-1, 1]: channels are averaged, as `musiczoo.audio` does.
- soundfile reads headers and soxr (HQ) resamples, outside the graph. tensorflow-io gives wrong rates for files that are
  opened in parallel; its resampler, to 22,050 Hz, delays by 1.5 ms, attenuates 9.9 kHz by 2 dB (soxr: 0.01) and
  10.5 kHz by 18 (soxr: 4), and, from 48 kHz, adds noise at -80 to -105 dB (soxr: -130).
- Lossless files equal those of soundfile exactly, lossy ones to 5e-6, except MP3 with MPEG-2's intensity stereo: there
  the decoders of tensorflow-io, soundfile and FFmpeg all differ, by about -40 dB (seen at 22,050 Hz).
- A file that cannot be decoded ends the iteration with a `tf.errors.OpError` that names the reason;
  ``dataset.ignore_errors()`` leaves such files out.

The last tensorflow-io, 0.37.1, needs TensorFlow 2.16, which does not train or export our models. This module is
independent of the rest of `musiczoo.models`.
"""

import io
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import soundfile
import soxr
import tensorflow as tf
from numpy.typing import NDArray

from musiczoo.audio import Framing
from musiczoo.errors import AudioError, InputError, MissingDependencyError

Path = str | os.PathLike[str]

_KINDS = (("MP3", ""), ("OGG", "VORBIS"), ("FLAC", "PCM_S8"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"))
"""(Format, encoding), as soundfile names them, of the files that are decoded here; MP3 has several encodings."""


def waveforms(paths: Sequence[Path], sample_rate: int) -> tf.data.Dataset:
    """Decode whole files, in order.

    Args:
        paths: At least one file.
        sample_rate: Sample rate of the result in Hz.

    Returns:
        ``[samples]`` float32 for each file, of different lengths.

    Raises:
        InputError: If there is no path, or the rate is not positive.
        MissingDependencyError: If tensorflow-io is not installed, or does not work with this TensorFlow.
    """
    if not paths or isinstance(paths, str):
        raise InputError(f"Expected a list of one or more paths, got {paths!r}.")
    if sample_rate <= 0:
        raise InputError(f"sample_rate must be a positive number of Hz, got {sample_rate!r}.")
    decoders = _decoders()

    def load(path: Any) -> Any:
        data = tf.io.read_file(path)
        rate, kind = tf.numpy_function(_header, [path, data], (tf.int32, tf.int32), stateful=False)
        mono = tf.switch_case(kind, [lambda decode=decode: tf.reduce_mean(decode(data), axis=1) for decode in decoders])
        resampled = tf.numpy_function(_resample, [mono, rate, sample_rate], tf.float32, stateful=False)
        return tf.ensure_shape(resampled, [None])

    names = tf.data.Dataset.from_tensor_slices([os.fspath(path) for path in paths])
    try:
        return names.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    except NotImplementedError as error:  # tensorflow-io raises it for a library that does not load
        raise _missing(f"the one installed does not load beside TensorFlow {tf.__version__}") from error


def excerpts(paths: Sequence[Path], framing: Framing) -> tf.data.Dataset:
    """Decode files as consecutive excerpts, file by file.

    The rest at the end of a file is dropped. A file shorter than an excerpt is padded with zeros.

    Args:
        paths: At least one file.
        framing: Sample rate and length of the excerpts, such as a `musiczoo.ModelCard`.

    Returns:
        ``[framing.excerpt_samples]`` float32 for each excerpt.

    Raises:
        InputError, MissingDependencyError: As `waveforms` does.
    """
    length = framing.excerpt_samples

    def cut(waveform: Any) -> tf.data.Dataset:
        padded = tf.pad(waveform, [[0, tf.maximum(length - tf.size(waveform), 0)]])
        return tf.data.Dataset.from_tensor_slices(tf.signal.frame(padded, length, length))

    return waveforms(paths, framing.sample_rate).flat_map(cut)


def _decoders() -> list[Callable[[Any], Any]]:
    """Return a decoder for each of `_KINDS`: the bytes of a file -> ``[samples, channels]`` float32."""
    try:
        import tensorflow_io as tfio  # never beside the TensorFlow of [train]
    except ImportError as error:
        raise _missing("none is installed") from error

    def flac(dtype: tf.DType, zero: int = 0) -> Callable[[Any], Any]:
        scale = 2.0 ** (8 * dtype.size - 1)
        return lambda data: (tf.cast(tfio.audio.decode_flac(data, dtype=dtype), tf.float32) - zero) / scale

    return [tfio.audio.decode_mp3, tfio.audio.decode_vorbis, flac(tf.uint8, 128), flac(tf.int16), flac(tf.int32)]


def _missing(got: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"musiczoo.models.tfio needs tensorflow-io: {got}. Versions that go together are tensorflow-io 0.37.1 "
        "with TensorFlow 2.16 (Python 3.12 at the most) and 0.36.0 with 2.15 (Python 3.11 at the most). In an "
        "separate environment: pip install 'musiczoo[tfio]'. musiczoo.audio reads the same files without it."
    )


def _header(path: bytes, data: bytes) -> tuple[np.int32, np.int32]:
    """Return the sample rate, and the index into `_KINDS`: tensorflow-io may crash on any other file."""
    name = os.fsdecode(path)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, kind = file.samplerate, (file.format, "" if file.format == "MP3" else file.subtype)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{name}: expected MP3, Ogg Vorbis or FLAC, got no audio ({error}).") from error
    if kind not in _KINDS:
        raise AudioError(f"{name}: expected MP3, Ogg Vorbis or FLAC, got {' '.join(kind)}. musiczoo.audio reads it.")
    return np.int32(rate), np.int32(_KINDS.index(kind))


def _resample(mono: NDArray[np.float32], rate: int, sample_rate: int) -> NDArray[np.float32]:
    resampled: NDArray[np.float32] = soxr.resample(mono, int(rate), int(sample_rate), quality="HQ")
    return resampled
