"""Effects on audio: what mixing, mastering, old carriers and lossy codecs do to music.

Conventions
-----------
- Audio is mono float32 ``[frames]`` at `RATE`; each effect returns a new array of the same length, except
  `pitch_and_tempo`.
- An effect that needs random numbers takes a `numpy.random.Generator`: the same generator state gives the same samples.
"""

import io

import numpy as np
import soundfile
from numpy.typing import ArrayLike, NDArray

from .styles import RATE

Audio = NDArray[np.float32]


def _single(values: ArrayLike) -> Audio:
    return np.asarray(values, np.float32)


def level(audio: Audio, peak: float = 0.9) -> Audio:
    """Scale audio to a peak; silence stays as it is.

    Examples:
        >>> level(np.array([0.1, -0.2], np.float32), 0.5).tolist()
        [0.25, -0.5]
    """
    highest = float(np.abs(audio).max(initial=0.0))
    return audio * np.float32(peak / highest) if highest > 0 else audio.copy()


def mix(voice: Audio, backing: Audio, ratio_db: float) -> Audio:
    """Mix two signals so that the first is `ratio_db` louder than the second where the first sounds.

    Args:
        voice: Signal ``[frames]``, with pauses.
        backing: Signal of the same length.
        ratio_db: Difference of their RMS levels in dB, over the frames in which the voice is above -40 dB of its peak.
    """
    sounding = np.abs(voice) > 0.01 * np.abs(voice).max(initial=1e-9)
    voice_rms = float(np.sqrt(np.mean(voice[sounding] ** 2))) if sounding.any() else 0.0
    backing_rms = float(np.sqrt(np.mean(backing**2)))
    if voice_rms == 0 or backing_rms == 0:
        return level(voice + backing)
    gain = backing_rms / voice_rms * 10 ** (ratio_db / 20)
    return level(np.float32(gain) * voice + backing)


def reverb(audio: Audio, seconds: float, wet: float, dice: np.random.Generator) -> Audio:
    """Add the reverberation of a room: decaying noise, darker with time.

    Args:
        audio: Signal.
        seconds: Time in which the reverberation falls by 60 dB.
        wet: Share of the reverberation in the result, 0 to 1.
        dice: Source of the noise.
    """
    from scipy.signal import fftconvolve, lfilter

    frames = max(2, round(seconds * RATE))
    decay = 10 ** (-3 * np.arange(frames) / frames)
    response = lfilter([0.4], [1, -0.6], dice.standard_normal(frames) * decay)
    response /= np.sqrt(np.sum(response**2))
    tail = fftconvolve(audio, response)[: len(audio)]
    return _single((1 - wet) * audio + wet * tail)


def compress(audio: Audio, threshold_db: float = -20.0, ratio: float = 4.0) -> Audio:
    """Reduce the dynamics above a threshold, as a compressor with 10 ms of smoothing does."""
    from scipy.ndimage import uniform_filter1d

    power = uniform_filter1d(audio.astype(np.float64) ** 2, round(0.01 * RATE)) + 1e-12
    over = np.maximum(10 * np.log10(power) - threshold_db, 0)
    return _single(audio * 10 ** (-over * (1 - 1 / ratio) / 20))


def saturate(audio: Audio, drive: float) -> Audio:
    """Distort gently, as tape and loud mastering do: tanh.

    Args:
        audio: Signal with a peak near 1.
        drive: Gain before the curve; 1 is mild, 4 is strong.
    """
    return _single(np.tanh(np.float32(drive) * audio) / np.float32(np.tanh(drive)))


def band(audio: Audio, low_hz: float, high_hz: float) -> Audio:
    """Keep a band of frequencies: a telephone has 300 to 3,400 Hz."""
    from scipy.signal import butter, sosfilt

    sections = butter(4, [low_hz, high_hz], "bandpass", fs=RATE, output="sos")
    return _single(sosfilt(sections, audio))


def equalise(audio: Audio, gains_db: tuple[float, float, float]) -> Audio:
    """Change bass (below 250 Hz), middle and treble (above 4 kHz) by gains in dB."""
    spectrum = np.fft.rfft(audio)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(audio), 1 / RATE), 20))
    curve = np.interp(octaves, np.log2([125, 500, 2000, 8000]), [gains_db[0], gains_db[1], gains_db[1], gains_db[2]])
    return _single(np.fft.irfft(spectrum * 10 ** (curve / 20), len(audio)))


def vinyl(audio: Audio, dice: np.random.Generator) -> Audio:
    """Add hiss, a hum and crackles."""
    frames = len(audio)
    hiss = 0.004 * dice.standard_normal(frames)
    hum = 0.003 * np.sin(2 * np.pi * 50 / RATE * np.arange(frames))
    crackle = np.zeros(frames)
    places = dice.integers(0, frames, size=max(1, frames // 4000))
    crackle[places] = dice.standard_normal(len(places)) * 0.2
    return _single(audio + hiss + hum + np.convolve(crackle, [0.3, 1, -0.7, 0.2], "same"))


def clip(audio: Audio, gain_db: float) -> Audio:
    """Amplify, and cut what exceeds full scale."""
    return _single(np.clip(audio * np.float32(10 ** (gain_db / 20)), -1, 1))


def mp3(audio: Audio) -> Audio:
    """Encode as MP3 at 64 kbit/s, mono, and decode again; aligned to the original."""
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", RATE, 1, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=0.875
    ) as out:
        out.write(audio)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    size = 1 << (2 * len(audio) - 1).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(audio, size)), size)
    delay = int(np.argmax(correlation[:4096]))
    shifted = decoded[delay : delay + len(audio)]
    return _single(np.pad(shifted, (0, len(audio) - len(shifted))))


def pitch_and_tempo(audio: Audio, semitones: float, rate: float) -> Audio:
    """Move the pitch and change the tempo, independently (phase vocoder of librosa).

    Args:
        audio: Signal ``[frames]``.
        semitones: Shift of the pitch.
        rate: Factor of the tempo; the result has ``frames / rate`` frames.
    """
    import librosa

    moved = librosa.effects.pitch_shift(audio, sr=RATE, n_steps=semitones) if semitones else audio
    stretched = librosa.effects.time_stretch(moved, rate=rate) if rate != 1 else moved
    return _single(stretched)
