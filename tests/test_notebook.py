"""What notebooks show."""

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy import music

import musiczoo
from musiczoo import notebook
from musiczoo.errors import AudioNotFoundError, InputError
from musiczoo.library.search import Hit


def sound(html: notebook.Html) -> tuple[np.ndarray, int]:
    """Return the audio of the first player in some HTML."""
    data = re.search(r'src="data:audio/wav;base64,([^"]+)"', html._repr_html_())
    assert data
    return soundfile.read(io.BytesIO(base64.b64decode(data[1])))


def hit(path: Path, **details: str) -> Hit:
    return Hit(str(path), 0.5, {"genre": 0.75, "mood": -0.25}, ("rock", "<90s>"), **details)


def test_a_player_holds_the_beginning_of_a_song(song: Callable[..., Path]) -> None:
    path = song("a.wav", seconds=5)
    played, rate = sound(notebook.player(path, seconds=2))
    assert len(played) == 2 * rate
    expected, source_rate = soundfile.read(path, stop=2 * 22050)
    assert rate == source_rate  # that of the toy's music
    np.testing.assert_allclose(played, expected, atol=2e-4)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 1e9])
def test_players_are_limited_to_an_hour(song: Callable[..., Path], seconds: float) -> None:
    with pytest.raises(InputError, match="up to an hour"):
        notebook.player(song(), seconds)


def test_a_player_needs_a_song(tmp_path: Path) -> None:
    with pytest.raises(AudioNotFoundError):
        notebook.player(tmp_path / "none.wav")


def test_tags_are_grouped_and_predicted_ones_are_bold(toy: musiczoo.Model) -> None:
    track = toy.analyze(music(10), 22050)
    text = notebook.tags(track, top=2).text
    groups = track.tags.by_dimension()
    assert [name for name in re.findall(r"<b>([^<]+)</b>", text) if name in groups] == list(groups)
    shown = [tag for tags in groups.values() for tag in tags[:2]]
    bold = set(re.findall(r"<b>([^<]+)</b>", text)) - groups.keys()
    assert bold == {tag.name for tag in track.tags.above_threshold()} & {tag.name for tag in shown}
    assert all(f"{tag.probability:.2f}" in text for tag in shown)


def test_hits_say_how_near_they_are_and_markup_is_text(song: Callable[..., Path]) -> None:
    text = notebook.hits([hit(song(), title="<script>x</script> & Co"), hit(song("b.wav"))], seconds=1).text
    assert "&lt;script&gt;x&lt;/script&gt; &amp; Co" in text
    assert "<script>" not in text
    assert "rock, &lt;90s&gt;" in text
    assert text.count("<audio") == 2
    assert re.findall(r"width:([0-9.]+)em\"></span> (-?[0-9.]+)", text) == [("3.00", "0.75"), ("0.00", "-0.25")] * 2
    assert ">b</td>" in text  # without a title, the file's name


def test_no_hits() -> None:
    assert "No results" in notebook.hits([]).text


def test_a_page_stands_in_a_frame_of_its_own(tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    page.write_text('<p title="a">é</p><script>"x"</script>', encoding="utf-8")
    text = notebook.page(page, height=300).text
    assert 'srcdoc="&lt;p title=&quot;a&quot;&gt;é&lt;/p&gt;&lt;script&gt;&quot;x&quot;&lt;/script&gt;"' in text
    assert "height:300px" in text


def test_a_page_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"map\.html.*Write it first"):
        notebook.page(tmp_path / "map.html")
