"""What the data sets are, and how to cite them."""

import re

import pytest

from musiczoo.datasets import catalogue
from musiczoo.datasets.catalogue import CATALOGUE
from musiczoo.errors import UnknownNameError

NAMES = sorted([*catalogue.CHECKED, "rendered_music"])  # which is made, so nobody has a copy to check


def test_every_reader_is_listed_and_the_other_way_round() -> None:
    assert sorted(CATALOGUE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_to_cite(name: str) -> None:
    text = catalogue.cite(name)
    assert bool(text) == (name != "folder")
    assert text.count("{") == text.count("}")
    for entry in CATALOGUE[name].bibtex:
        assert re.match(r"@[a-z]+\{[a-z0-9]+,\n", entry)
        fields = dict(re.findall(r"^  ([a-z]+) *= \{((?:.|\n             )*)\},?$", entry, re.MULTILINE))
        assert {"author", "title"} <= fields.keys()
        assert "year" in fields or entry.startswith("@misc")
        assert re.fullmatch(r"(19|20)[0-9]{2}", fields.get("year", "2000"))
    keys = re.findall(r"@[a-z]+\{([a-z0-9]+),", text)
    assert len(set(keys)) == len(keys)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'gtzan'"):
        catalogue.cite("gtzn")
