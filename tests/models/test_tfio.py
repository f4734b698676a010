"""`musiczoo.models.tfio` beside a current TensorFlow; `make compat` tests it beside those that tensorflow-io takes."""

import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("tensorflow")

from musiczoo.errors import MissingDependencyError
from musiczoo.models import tfio

pytestmark = pytest.mark.train


def test_without_tensorflow_io_the_message_names_versions_and_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(MissingDependencyError, match=r"none is installed.*TensorFlow 2\.16.*musiczoo\[tfio\]"):
        tfio.waveforms(["song.mp3"], 22050)


def test_a_tensorflow_io_that_does_not_load_is_distinguished_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        raise NotImplementedError("unable to open file: libtensorflow_io.so")

    audio = SimpleNamespace(decode_mp3=decode, decode_vorbis=decode, decode_flac=decode)
    monkeypatch.setitem(sys.modules, "tensorflow_io", SimpleNamespace(audio=audio))
    with pytest.raises(MissingDependencyError, match="does not load beside TensorFlow"):
        tfio.waveforms(["song.mp3"], 22050)
