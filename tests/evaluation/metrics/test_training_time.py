import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.errors import InputError
from musiczoo.evaluation.metrics.training_time import ratios


def test_ratios_by_hand():
    """2 s x 30 epochs = 60 s is the least; 3 s x 50 = 150 s; the third was not trained to its stop."""
    assert ratios(
        {
            "a": {"seconds_per_epoch": 2.0, "epochs_to_stop": 30},
            "b": {"seconds_per_epoch": 3.0, "epochs_to_stop": 50},
            "c": {"seconds_per_epoch": 1.0},
        }
    ) == {
        "a": {"seconds_per_epoch": 2, "epoch_ratio": 2, "epochs_to_stop": 30, "ratio": 1},
        "b": {"seconds_per_epoch": 3, "epoch_ratio": 3, "epochs_to_stop": 50, "ratio": 2.5},
        "c": {"seconds_per_epoch": 1, "epoch_ratio": 1, "epochs_to_stop": None, "ratio": None},
    }


def test_no_model_no_ratio():
    assert ratios({}) == {}


@given(st.lists(st.tuples(st.floats(0.1, 1e4), st.integers(1, 500)), min_size=1, max_size=8), st.floats(0.01, 100))
def test_a_machine_that_is_slower_throughout_changes_no_ratio(times, factor):
    def compared(scale):
        return ratios({str(i): {"seconds_per_epoch": s * scale, "epochs_to_stop": n} for i, (s, n) in enumerate(times)})

    here, there = compared(1), compared(factor)
    for key in ("epoch_ratio", "ratio"):
        assert [row[key] for row in there.values()] == pytest.approx([row[key] for row in here.values()])
        assert min(row[key] for row in here.values()) == 1


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"seconds_per_epoch": 0},
        {"seconds_per_epoch": math.nan},
        {"seconds_per_epoch": "1"},
        {"seconds_per_epoch": 1, "epochs_to_stop": 0},
        {"seconds_per_epoch": 1, "epochs_to_stop": 1.5},
    ],
)
def test_measurements_that_are_none_name_the_model(values):
    with pytest.raises(InputError, match="'broken'"):
        ratios({"fine": {"seconds_per_epoch": 1}, "broken": values})
