"""Tables of any contents give a data set or an error of ours."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import JAMENDO_ROWS

from musiczoo.datasets import dim_sim, folder, jamendo, magnatagatune
from musiczoo.errors import DatasetError

WORDS = ["path", "tags", "split", "artist", "clip_id", "mp3_path", "title", "f/a.mp3", "../x", "mood:sad", ":", "0",
         "1", "train", "dev", "genre---rock", *jamendo.COLUMNS, *JAMENDO_ROWS["train"][1], "song1_vote"]  # fmt: skip
cells = st.sampled_from(WORDS) | st.text(max_size=5)
tables = st.tuples(st.sampled_from([",", "\t"]), st.lists(st.lists(cells, max_size=7), max_size=5)).map(
    lambda table: "\n".join(table[0].join(row) for row in table[1])
)
tag_names = st.text(st.characters(exclude_characters=":;|\r\n\"'\x00", exclude_categories=["Cs", "Z", "C"]), min_size=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder."""
    return tmp_path_factory.mktemp("noise")


@settings(max_examples=40)
@given(text=tables | st.text(max_size=60))
def test_noise_is_read_or_refused(root: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    split_folder = root / "data" / "splits" / "split-0"
    split_folder.mkdir(parents=True, exist_ok=True)
    for path in (
        root / folder.TABLE,
        root / magnatagatune.ANNOTATIONS_FILE,
        root / magnatagatune.CLIPS_FILE,
        root / "clean-dim-sim.csv",
        *(split_folder / f"autotagging_top50tags-{split}.tsv" for split in JAMENDO_ROWS),
    ):
        path.write_bytes(content)
    for loader in (folder, magnatagatune, jamendo, dim_sim):
        with suppress(DatasetError):
            loader.load(root)


@given(tags=st.lists(tag_names, min_size=1, max_size=5, unique=True), separator=st.sampled_from([";", "|", " ; "]))
def test_tags_come_through_a_table(root: Path, tags: list[str], separator: str) -> None:
    cell = separator.join(tags).replace('"', '""')
    (root / folder.TABLE).write_text(f'path,tags\na.mp3,"{cell}"\n', encoding="utf-8")
    dataset = folder.load(root)
    assert dataset.items[0].tags == tuple(tags)
    assert dataset.tags == tuple(sorted(tags))
