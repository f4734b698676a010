"""The tags and spaces: what the paper prints, and what follows from it."""

from musiczoo import taxonomy


def test_fifty_distinct_tags_from_rock_to_happy() -> None:
    assert len(taxonomy.TAGS) == len(set(taxonomy.TAGS)) == 50
    assert (taxonomy.TAGS[0], taxonomy.TAGS[23], taxonomy.TAGS[-1]) == ("rock", "instrumental", "happy")


def test_the_paper_s_sizes_of_the_dimensions() -> None:
    """Lee et al., ISMIR 2020, section 2: 28 genres, 12 moods, 5 instruments, 5 eras."""
    sizes = {dimension: len(tags) for dimension, tags in taxonomy.DIMENSION_TAGS.items()}
    assert sizes == {"genre": 28, "mood": 12, "instrument": 5, "era": 5}


def test_every_tag_is_in_the_dimension_that_it_says() -> None:
    examples = {
        "Hip-Hop": "genre",
        "Mellow": "mood",
        "acoustic": "mood",
        "guitar": "instrument",
        "00s": "era",
    }
    assert {tag: taxonomy.dimension_of(tag) for tag in examples} == examples
    grouped = [tag for tags in taxonomy.DIMENSION_TAGS.values() for tag in tags]
    assert sorted(grouped) == sorted(taxonomy.TAGS)
    for dimension, tags in taxonomy.DIMENSION_TAGS.items():
        assert list(tags) == [tag for tag in taxonomy.TAGS if taxonomy.dimension_of(tag) == dimension]


def test_spaces_are_four_quarters_of_the_embedding() -> None:
    assert taxonomy.SPACES == {
        "genre": (0, 64),
        "mood": (64, 128),
        "instrument": (128, 192),
        "era": (192, 256),
    }
    assert taxonomy.PLAIN_SPACES == {"all": (0, 256)}


def test_the_published_vocabulary_has_the_spaces_of_the_paper() -> None:
    assert taxonomy.LASTFM_50.spaces == taxonomy.SPACES
    assert dict(zip(taxonomy.TAGS, taxonomy.LASTFM_50.tag_dimensions, strict=True))["sad"] == "mood"


def test_another_vocabulary_shares_the_embedding_out() -> None:
    """256 = 85 + 85 + 86."""
    vocabulary = taxonomy.Vocabulary(("a", "b", "c", "d"), {"x": ("d",), "y": ("a", "c"), "z": ("b",)})
    assert vocabulary.tag_dimensions == ("y", "z", "y", "x")
    assert vocabulary.spaces == {"x": (0, 85), "y": (85, 170), "z": (170, 256)}
