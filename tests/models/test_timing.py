import itertools

import numpy as np
import pytest

from musiczoo.errors import InputError

pytestmark = pytest.mark.train


def test_models_take_turns_and_the_median_counts():
    """By hand, 2 steps a turn. Round 0 is warm-up. Seconds of a step of "a": 1, 9, 3: median 3; of "b": 4, 5, 30: 5."""
    from musiczoo.models.timing import in_turns

    now, calls = [0.0], []
    cost = {"a": iter([100, 1, 9, 3]), "b": iter([100, 4, 5, 30])}

    def step(name):
        def run():
            calls.append(name)
            if len([c for c in calls if c == name]) % 2:  # a turn costs the same in each of its two steps
                run.seconds = next(cost[name])
            now[0] += run.seconds

        return run

    result = in_turns({name: step(name) for name in "ab"}, rounds=3, steps=2, clock=lambda: now[0])
    assert result == {"a": 3, "b": 5}
    turns = [name for name, _ in itertools.groupby(calls)]
    assert "".join(calls) == "aabbbbaaaabbbbaa"
    assert len(turns) == 5


def test_an_epoch_has_as_many_steps_as_batches_fit(monkeypatch):
    from musiczoo.models import timing
    from musiczoo.models.recipe import Recipe

    asked = {}

    def trainer(recipe, steps):
        asked[recipe.model] = (recipe.width, recipe.batch, steps)
        return lambda: None

    monkeypatch.setattr(timing, "trainer", trainer)
    monkeypatch.setattr(timing, "in_turns", lambda ready, rounds, steps: dict.fromkeys(ready, 0.5))
    recipes = {"x": Recipe("classification", width=64, batch=7), "y": Recipe("disentangled-classification")}
    assert timing.seconds_per_epoch(recipes, excerpts=100, width=16, batch=30) == {"x": 1.5, "y": 1.5}
    assert asked == {"classification": (16, 30, 3), "disentangled-classification": (16, 30, 3)}


@pytest.mark.parametrize(("name", "mining"), [("classification", "all"), ("disentangled-triplet-track", "explicit")])
def test_a_trainer_s_step_trains(name, mining):
    """The step is the model's own: its loss on the one batch that it has changes."""
    from musiczoo.models import timing
    from musiczoo.models.recipe import Recipe

    step = timing.trainer(Recipe(name, width=16, batch=3, learning_rate=0.001, mining=mining), steps=1)
    losses = [float(step()) for _ in range(3)]
    assert np.isfinite(losses).all()
    assert len(set(losses)) == 3


@pytest.mark.parametrize("options", [{"rounds": 0}, {"steps": 0}, {"batch": 200}])
def test_too_little_to_measure_is_an_error(options):
    from musiczoo.models import timing

    with pytest.raises(InputError, match="1 or more"):
        timing.seconds_per_epoch({}, excerpts=100, **options)
