"""Which tags become which words."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import musiczoo
from musiczoo import tag_map
from musiczoo.card import read_card
from musiczoo.errors import InputError, UnknownNameError
from musiczoo.registry import find
from musiczoo.tag_map import Word, words_of
from musiczoo.taxonomy import DIMENSION_TAGS, TAGS

THRESHOLDS = dict.fromkeys(("happy", "sad", "calm"), 0.5)


def test_words_are_those_of_tags_that_reach_their_thresholds_most_probable_first() -> None:
    mood = {"happy": Word("Happy"), "sad": Word("Sad", 0.9), "calm": Word("Calm", 0.1)}
    probabilities = {"happy": 0.5, "sad": 0.89, "calm": 0.6}
    assert words_of({"mood": mood}, probabilities, THRESHOLDS) == {"mood": ["Calm", "Happy"]}


def test_a_word_of_two_tags_counts_once_and_absent_or_impossible_tags_do_not() -> None:
    mood = {"happy": Word("Up", 0.0), "sad": Word("Down", 0.0), "calm": Word("Up", 0.0), "unknown": Word("?")}
    assert words_of({"mood": mood}, {"happy": 0.2, "sad": 0.3, "calm": 0.4}, {}) == {"mood": ["Up", "Down"]}
    assert words_of({"mood": mood}, dict.fromkeys(THRESHOLDS, 0.0), {}) == {"mood": []}


def test_the_default_map_has_every_mood_and_genre_of_the_published_tags() -> None:
    found = tag_map.default(DIMENSION_TAGS)
    assert {*found["mood"], *found["genre"]} == {*DIMENSION_TAGS["mood"], *DIMENSION_TAGS["genre"]}
    assert not set(found["mood"]) & set(found["genre"])
    for field, words in found.items():
        for word in words.values():
            assert tag_map.check_word(field, word.text) == word.text
    shipped = tomllib.loads(Path(tag_map.__file__).with_name("tag_map.toml").read_text(encoding="utf-8"))
    assert {tag for words in shipped.values() for tag in words} <= set(TAGS)


@pytest.mark.parametrize("name", musiczoo.list_models())
def test_every_model_has_a_default_map(name: str) -> None:
    card = read_card(find(name))
    found = tag_map.default(card.dimensions)
    assert found["mood"]
    assert found["genre"]
    assert {tag for words in found.values() for tag in words} <= set(card.tags)


def test_other_models_give_the_tags_of_their_dimensions() -> None:
    dimensions = {
        "mood/theme": ("for dinner", "happy", "sad / slow", " / "),
        "genre": ("drum/bass", "80", "R,B;C"),
        "instrument": ("cello",),
    }
    found = tag_map.default(dimensions)
    assert {tag: word.text for tag, word in found["mood"].items()} == {
        "for dinner": "for dinner",
        "happy": "Happy",
        "sad / slow": "sad-slow",
    }
    assert {tag: word.text for tag, word in found["genre"].items()} == {"drum/bass": "drum-bass", "R,B;C": "R-B-C"}


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_printed_map_is_read_as_it_was(tmp_path: Path) -> None:
    card = read_card(find("disentangled-classification"))
    found = tag_map.default(card.dimensions)
    path = written(tmp_path / "mine.toml", tag_map.as_toml(found, card.thresholds))
    assert tag_map.read(path, card.tags) == found


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.text(max_size=8), max_size=4),
    st.none() | st.floats(0, 1),
)
def test_any_map_is_read_as_it_was_printed(entries: dict[str, str], threshold: float | None) -> None:
    words = {}
    for tag, text in entries.items():
        try:
            words[tag] = Word(tag_map.check_word("mood", text), threshold)
        except InputError:
            continue
    text = tag_map.as_toml({"mood": words}, dict.fromkeys(words, 0.5))
    assert tag_map._parsed(tomllib.loads(text), "") == {"mood": words}


def test_a_tag_may_have_a_threshold_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.toml", '[mood]\nhappy = {word = "Fröhlich", threshold = 1}\nsad = "Sad"\n')
    assert tag_map.read(path, ["happy", "sad"]) == {"mood": {"happy": Word("Fröhlich", 1), "sad": Word("Sad")}}


@pytest.mark.parametrize(
    ("text", "match"),
    [("[mood", "not TOML"), ("a = " + "[" * 5000, "not TOML"), ("mood = 3", r"Expected a table \[mood\], got 3"),
     ("[mood]\nhappy = 3", "for the tag 'happy' of mood, got 3"), ("[mood]\nhappy = {}", "got {}"),
     ('[mood]\nhappy = {word = "a", treshold = 1}', "treshold"),
     ('[mood]\nhappy = {word = "a", threshold = 1.5}', "from 0 to 1 for the tag 'happy', got 1.5"),
     ('[mood]\nhappy = {word = "a", threshold = nan}', "got nan"),
     ('[mood]\nhappy = {word = "a", threshold = true}', "got True"), ('[mood]\nhappy = "a/b"', "without '/'"),
     ('[genre]\nhappy = "17"', "number of a genre"), ('[mood]\nhappy = " "', "without control characters")],
)  # fmt: skip
def test_malformed_maps_are_refused_with_their_names(tmp_path: Path, text: str, match: str) -> None:
    path = written(tmp_path / "mine.toml", text)
    with pytest.raises(InputError, match=match) as caught:
        tag_map.read(path, ["happy"])
    assert "mine.toml" in str(caught.value)


def test_unknown_names_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'happy'"):
        tag_map.read(written(tmp_path / "mine.toml", '[mood]\nhapy = "Happy"\n'), ["happy", "sad"])
    with pytest.raises(UnknownNameError, match="Did you mean 'mood'"):
        tag_map.read(written(tmp_path / "mine.toml", '[moods]\nhappy = "Happy"\n'), ["happy", "sad"])


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\0")
    for name in ("missing.toml", "binary.toml", "."):
        with pytest.raises(InputError, match="Cannot read the map"):
            tag_map.read(tmp_path / name, [])
