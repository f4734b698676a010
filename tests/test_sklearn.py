"""musiczoo.sklearn.Embedder beside what scikit-learn asks of a transformer."""

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator
from toy import CARD, music, write_audio, write_model

import musiczoo
from musiczoo.errors import AudioNotFoundError, InputError, UnknownNameError
from musiczoo.sklearn import Embedder


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six songs of three albums: those of odd numbers grow louder, the others fade."""
    folder = tmp_path_factory.mktemp("songs")
    sounds = [music(3, seed=n) * np.linspace(*((1, 0.1), (0.1, 1))[n % 2], 3 * CARD.sample_rate) for n in range(6)]
    return [write_audio(folder / f"{n}.wav", sound) for n, sound in enumerate(sounds)]


def _toy() -> Embedder:
    return Embedder(str(write_model(Path(tempfile.mkdtemp(prefix="musiczoo-sklearn-")) / "toy")))


# Not parametrize_with_checks: its ids hold the folder of the toy model, which differs in each process of pytest-xdist.
@pytest.mark.parametrize(
    ("estimator", "check"),
    list(estimator_checks_generator(_toy())),
    ids=lambda value: getattr(getattr(value, "func", value), "__name__", type(value).__name__),
)
def test_scikit_learn_accepts_it(estimator: Embedder, check) -> None:  # type: ignore[no-untyped-def]
    """All checks apply, since a matrix of samples is a matrix; that of the array API wants SCIPY_ARRAY_API set."""
    check(estimator)


def test_rows_are_the_embeddings_of_the_songs(paths: list[Path], toy: musiczoo.Model) -> None:
    expected = np.stack([toy.analyze(path).embedding for path in paths])
    given = [str(path) for path in paths]
    column = np.array(given)[:, None]
    for songs in (paths, given, np.array(given), column, np.array(given, dtype=object), tuple(paths)):
        np.testing.assert_array_equal(Embedder(toy).fit_transform(songs), expected)
    moods = Embedder(toy, space="mood").fit_transform(paths)
    np.testing.assert_array_equal(moods, np.stack([toy.analyze(path).space("mood") for path in paths]))


def test_arrays(toy: musiczoo.Model) -> None:
    songs = [music(4), music(5, channels=2), (32767 * music(3)).astype(np.int16)]
    expected = np.stack([toy.analyze(song, CARD.sample_rate).embedding for song in songs])
    np.testing.assert_array_equal(Embedder(toy).fit_transform(songs), expected)
    fast = music(7, 44_100)
    embedded = Embedder(toy, sample_rate=44_100, excerpts=2).fit_transform([fast])
    np.testing.assert_array_equal(embedded[0], toy.analyze(fast, 44_100, excerpts=2).embedding)
    matrix = np.stack([music(4), music(4, seed=1)])
    np.testing.assert_array_equal(Embedder(toy).fit_transform(matrix), Embedder(toy).fit_transform(list(matrix)))


def test_feature_names(toy: musiczoo.Model) -> None:
    names = Embedder(toy).fit([music(1)]).get_feature_names_out()
    assert names.tolist() == [f"{name}_{i}" for name in toy.card.spaces for i in range(64)]
    names = Embedder(toy, space="era").fit([music(1)]).get_feature_names_out()
    assert names.tolist() == [f"era_{i}" for i in range(64)]
    with pytest.raises(NotFittedError):
        Embedder(toy).get_feature_names_out()


def test_pipeline_with_grouped_folds(paths: list[Path], toy_folder: Path) -> None:
    pipeline = make_pipeline(Embedder(str(toy_folder)), LogisticRegression(C=1000, max_iter=1000))
    labels, albums = [n % 2 for n in range(6)], [n // 2 for n in range(6)]
    scores = cross_val_score(pipeline, [str(path) for path in paths], labels, groups=albums, cv=GroupKFold(3))
    assert scores.tolist() == [1, 1, 1]


def test_clones_and_pickles(paths: list[Path], toy_folder: Path) -> None:
    embedder = Embedder(str(toy_folder), space="genre", excerpts=1).fit(paths)
    again = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(again.transform(paths[:2]), embedder.transform(paths[:2]))
    assert clone(embedder).get_params() == embedder.get_params()
    assert not hasattr(clone(embedder), "model_")


def test_errors(toy: musiczoo.Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Put it in a list"):
        Embedder(toy).fit("song.wav")
    with pytest.raises(UnknownNameError, match="Did you mean 'mood'"):
        Embedder(toy, space="moods").fit(["song.wav"])
    with pytest.raises(InputError, match="excerpts"):
        Embedder(toy, excerpts=0).fit(["song.wav"])
    with pytest.raises(AudioNotFoundError):
        Embedder(toy).fit_transform([tmp_path / "missing.wav"])
    with pytest.raises(NotFittedError):
        Embedder(toy).transform(["song.wav"])


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\nimport musiczoo\n"
        "try:\n    import musiczoo.sklearn\nexcept musiczoo.MusicZooError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "musiczoo[sklearn]" in done.stdout
