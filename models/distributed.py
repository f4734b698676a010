"""Distribution of a training run over devices and processes.

Conventions
-----------
- A strategy changes the speed of a run, and its result only by rounding: it is not part of a recipe, and a run may be
  resumed with another one. One exception: triplets are mined within the share of one replica, so in-batch triplet
  models see fewer triplets with more replicas.
- A *replica* is a device with an equal share of each batch. A *worker* is a process that drives one or more replicas.
- Workers find each other through TensorFlow's environment variable TF_CONFIG. All read the same data and the same run
  folder, which must be on a shared disk; only the chief writes there. If one worker dies, the others end too: start all
  of them again, and the run resumes from its last checkpoint.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import tensorflow as tf

from musiczoo.errors import InputError, TrainingError

CHOICES = "auto, mirrored, multiworker or cpu:N"
CLUSTER_VARIABLE = "TF_CONFIG"

_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)

_CLUSTER_EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'


@cache  # two strategies in one process conflict
def choose(name: str = "auto") -> tf.distribute.Strategy:
    """Return a distribution strategy by name.

    - ``auto``: all GPUs if there are several, else the only device.
    - ``mirrored``: all GPUs, else all logical CPUs.
    - ``multiworker``: the processes that TF_CONFIG names, each with all its GPUs, else its CPU.
    - ``cpu:N``: N logical CPUs: slower than one, for tests.

    Choose one of the last two before TensorFlow is used in the process.

    Raises:
        InputError: If there is no such strategy, or it is not possible here.

    Example:
        >>> choose("auto").num_replicas_in_sync
        1
    """
    if name == "multiworker":
        return _multiworker()
    if name.startswith("cpu:"):
        return tf.distribute.MirroredStrategy(_logical_cpus(name))
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(gpus or tf.config.list_logical_devices("CPU"))
    if name == "auto":
        # On one device the default strategy gives the same result without the cost of collectives.
        return tf.distribute.MirroredStrategy(gpus) if len(gpus) > 1 else tf.distribute.get_strategy()
    raise InputError(f"Unknown strategy {name!r}. Choose {CHOICES}.")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the only one, or the worker that writes the run folder."""
    return bool(strategy.extended.should_checkpoint)


def check_batch(strategy: tf.distribute.Strategy, batch: int) -> None:
    """Check that each replica has an equal share of a batch.

    Raises:
        InputError: If the batch does not divide by the number of replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch % replicas:
        raise InputError(
            f"Expected a batch that divides by the {replicas} devices, got {batch}. Change the recipe's batch."
        )


def check_agreement(strategy: tf.distribute.Strategy, epoch: int) -> None:
    """Wait for all workers, and check that they resume from the same epoch.

    Raises:
        TrainingError: If they do not.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    everywhere = tf.function(lambda: strategy.run(tf.constant, (float(epoch),)), autograph=False)
    total = float(strategy.reduce("SUM", everywhere(), axis=None))
    if total != epoch * strategy.num_replicas_in_sync:
        raise TrainingError(
            f"Expected all workers to resume from the same epoch, got {epoch} here and another elsewhere. Put the run "
            "folder on a disk that all workers share."
        )


@contextmanager
def workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Report a lost worker as an error.

    Raises:
        TrainingError: If a worker is lost inside the block.
    """
    try:
        yield
    except _LOST as error:
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise
        reason = " ".join(error.message.rpartition("}} ")[2].split())[:200]
        raise TrainingError(
            f"A worker was lost. Start all workers again: the run resumes from its last checkpoint. ({reason})"
        ) from error


def _logical_cpus(name: str) -> list[tf.config.LogicalDevice]:
    number = name.removeprefix("cpu:")
    if not number.isascii() or not number.isdigit() or int(number) < 1:
        raise InputError(f"Expected cpu:N with N of 1 or more, got {name!r}.")
    cpu = tf.config.list_physical_devices("CPU")[0]
    with suppress(RuntimeError):  # TensorFlow has started; it may have the right number all the same
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(number))
    devices: list[tf.config.LogicalDevice] = tf.config.list_logical_devices("CPU")
    if len(devices) != int(number):
        raise InputError(
            f"Cannot use {name}: TensorFlow has already started in this process with {len(devices)} logical CPUs. "
            "Choose the strategy in a new process."
        )
    return devices


def _multiworker() -> tf.distribute.Strategy:
    text = os.environ.get(CLUSTER_VARIABLE, "")
    try:
        cluster = json.loads(text)
        known = bool(cluster["cluster"]["worker"]) and cluster["task"].keys() >= {"type", "index"}
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise InputError(
            f"Expected the addresses of all workers in the environment variable {CLUSTER_VARIABLE}, like "
            f"{_CLUSTER_EXAMPLE}, got {text!r}."
        )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise InputError(
            f"Cannot reach the workers, or TensorFlow has already started in this process: {error} "
            f"Check {CLUSTER_VARIABLE}."
        ) from error
