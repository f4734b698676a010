"""Training time of models, as ratios to the fastest.

Metrics
-------
- *epoch ratio*: seconds per epoch, measured at equal batch size and width, over the least of any model.
- *ratio*: seconds per epoch times epochs to early stopping, over the least of any model that stopped: the training time
  of Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.3.
"""

import math
from collections.abc import Mapping
from typing import Any

from musiczoo.errors import InputError


def ratios(measured: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, Any]]:
    """Return the time ratios of models, ready for JSON.

    Args:
        measured: Model -> ``{"seconds_per_epoch": > 0, "epochs_to_stop": whole number > 0, or None or missing if the
            model was not trained until early stopping}``.

    Returns:
        Model -> ``{"seconds_per_epoch", "epoch_ratio", "epochs_to_stop", "ratio"}``, with None for the last two if
        the epochs are unknown.

    Raises:
        InputError: If a number is missing or not above 0, with the name of the model.

    Example:
        >>> measured = {"proxy": {"seconds_per_epoch": 30}, "triplet": {"seconds_per_epoch": 60}}
        >>> ratios(measured)["triplet"]["epoch_ratio"]
        2.0
    """
    seconds: dict[str, float] = {}
    epochs: dict[str, int | None] = {}
    for name, values in measured.items():
        given, stop = values.get("seconds_per_epoch"), values.get("epochs_to_stop")
        if not _positive(given) or not (stop is None or (_positive(stop) and stop == int(stop))):
            raise InputError(
                f"Expected seconds_per_epoch above 0, and epochs_to_stop a whole number above 0 or none, for {name!r}, "
                f"got {dict(values)}. Measure it again."
            )
        seconds[name], epochs[name] = float(given or 0), None if stop is None else int(stop)
    totals = {name: seconds[name] * stop for name, stop in epochs.items() if stop is not None}
    return {
        name: {
            "seconds_per_epoch": value,
            "epoch_ratio": value / min(seconds.values()),
            "epochs_to_stop": epochs[name],
            "ratio": totals[name] / min(totals.values()) if name in totals else None,
        }
        for name, value in seconds.items()
    }


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
