"""Training time of models, as ratios to the fastest.

Metrics
-------
- *epoch ratio*: seconds per epoch, measured at equal batch size and width, over the least of any model.
- *ratio*: seconds per epoch times epochs to early stopping, over the least of any model that stopped: the training time
  of Lee et al., ISMIR 2020 (arXiv:2008.03729), section 4.3.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ..._files import read_json
from ...errors import InputError


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


def read_times(file: Path) -> dict[str, dict[str, float | None]]:
    """Read a file of training times.

    Args:
        file: JSON: ``{"model": {"seconds_per_epoch": 1.5, "epochs_to_stop": 20}, ...}``.

    Returns:
        Its content, for `ratios`.

    Raises:
        InputError: If the file cannot be read or holds something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "times.json")
        ...     _ = file.write_text('{"proxy": {"seconds_per_epoch": 30}}')
        ...     read_times(file)
        {'proxy': {'seconds_per_epoch': 30}}
    """
    try:
        content = read_json(file)
        return {str(name): dict(values) for name, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f'{file}: expected {{"model": {{"seconds_per_epoch": 1.5, "epochs_to_stop": 20}}, ...}}, got {error}. '
            "Omit --times to measure them."
        ) from error


def read_runs(models: Sequence[str], runs: Path) -> dict[str, dict[str, float | None]]:
    """Read the training times of runs.

    Args:
        models: Names of models.
        runs: Folder with a run folder for each of some models, of the same name.

    Returns:
        Model -> ``{"seconds_per_epoch": median or None, "epochs_to_stop": number or None}``, for models with a run. The
        epochs are those of finished runs.

    Example:
        >>> read_runs(["triplet"], Path("no such folder"))
        {}
    """
    found = {
        name: {"seconds_per_epoch": _median_seconds(runs / name), "epochs_to_stop": _epochs(runs / name)}
        for name in models
    }
    return {name: values for name, values in found.items() if any(value is not None for value in values.values())}


def _median_seconds(run: Path) -> float | None:
    try:
        with (run / "times.csv").open(newline="", encoding="utf-8") as file:
            seconds = [float(row["training_s"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
    return median(seconds) if seconds else None


def _epochs(run: Path) -> int | None:
    try:
        with (run / "log.csv").open(newline="", encoding="utf-8") as file:
            epochs = sum(1 for _ in csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return None
    return epochs if epochs and (run / "result.json").is_file() else None


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
