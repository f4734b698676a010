import numpy as np
import pytest

from musiczoo.errors import DatasetError, InputError, UnknownNameError, WriteError
from musiczoo.evaluation.ground_truth import Settings, TripletLists
from musiczoo.evaluation.metrics.triplets import Triplets


def lists_of(tracks=("x", "y", "z"), excerpts=(2, 1, 3)):
    return TripletLists(
        tracks, excerpts, {"genre": Triplets.of([[0, 1, 2], [1, 2, 0]])}, Triplets.of([[0, 1, 2], [3, 5, 0]])
    )


def test_lists_are_saved_and_read(tmp_path):
    path = tmp_path / "lists.npz"
    lists_of().save(path)
    found = TripletLists.read(path)
    assert (found.tracks, found.excerpts) == (("x", "y", "z"), (2, 1, 3))
    np.testing.assert_array_equal(found.by_dimension["genre"].rows(), [[0, 1, 2], [1, 2, 0]])
    np.testing.assert_array_equal(found.track.rows(), [[0, 1, 2], [3, 5, 0]])
    first = path.read_bytes()
    lists_of().save(path)
    assert path.read_bytes() == first


def test_lists_find_their_tracks_again_in_another_order_and_drop_what_is_gone():
    """Now z (excerpts 0 to 2), w (3), x (4, 5), y (6)."""
    found = lists_of().among(("z", "w", "x", "y"), (3, 1, 2, 1))
    np.testing.assert_array_equal(found.by_dimension["genre"].rows(), [[2, 3, 0], [3, 0, 2]])
    np.testing.assert_array_equal(found.track.rows(), [[4, 5, 6], [0, 2, 4]])
    without_y = lists_of().among(("x", "z"), (2, 3))
    assert len(without_y.by_dimension["genre"]) == 0
    np.testing.assert_array_equal(without_y.track.rows(), [[2, 4, 0]])


def test_lists_of_other_audio_are_refused():
    with pytest.raises(InputError, match=r"Expected 2 excerpts of x.*got 9"):
        lists_of().among(("x",), (9,))


def test_a_file_that_is_no_list_is_refused(tmp_path):
    path = tmp_path / "lists.npz"
    for content in (b"", b"PK\x03\x04 broken", b"text"):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="expected triplet lists"):
            TripletLists.read(path)
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(path, tracks=np.zeros(3))
    for other in (path, tmp_path / "a.npy", tmp_path / "absent.npz"):
        with pytest.raises(DatasetError, match="expected triplet lists"):
            TripletLists.read(other)
    lists_of(tracks=("x", "y"), excerpts=(2, 1)).save(path)
    with pytest.raises(DatasetError, match="got other rows"):
        TripletLists.read(path)
    with pytest.raises(WriteError, match="Cannot write"):
        lists_of().save(path / "below-a-file")


def test_the_unit_of_the_bootstrap_is_known():
    with pytest.raises(UnknownNameError, match="Did you mean 'package'"):
        Settings(resample="packages")
