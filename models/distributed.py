"""Which devices share the work of a training run.

Conventions
-----------
- A strategy decides how fast a run is, never what comes out of it but for rounding: it is no part of a recipe, and a
  run may go on with another one. One exception: triplets are mined among what one replica holds, so in-batch triplet
  models see fewer of them the more replicas there are.
- A *replica* is a device with an equal share of each batch. A *worker* is a process that drives one or several.
- Several workers find each other through the environment variable TF_CONFIG, as TensorFlow defines it. All read the
  same data and the same run folder, so it must be on a disk that they share; only the chief writes there. If one of
  them dies, the others end too: start them all again, and the run goes on from its last checkpoint.
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


@cache  # two of them in one process get into each other's way
def choose(name: str = "auto") -> tf.distribute.Strategy:
    """The strategy of a name.

    - ``auto``: all GPUs if there are several, else the one device there is.
    - ``mirrored``: all GPUs, or else all logical CPUs.
    - ``multiworker``: this process and the others that TF_CONFIG names, each with all its GPUs, or else its CPU.
    - ``cpu:N``: N logical CPUs, as if they were devices: slower than one, for tests.

    The last two only before TensorFlow has been used in this process.

    Raises:
        InputError: If there is no such strategy, or it is not possible here.
    """
    if name == "multiworker":
        return _multiworker()
    if name.startswith("cpu:"):
        return tf.distribute.MirroredStrategy(_logical_cpus(name))
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(gpus or tf.config.list_logical_devices("CPU"))
    if name == "auto":
        # On one device the default strategy computes the same without the cost of the collectives.
        return tf.distribute.MirroredStrategy(gpus) if len(gpus) > 1 else tf.distribute.get_strategy()
    raise InputError(f"Expected a strategy of {CHOICES}, received {name!r}.")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the only one, or the one among the workers that writes."""
    return bool(strategy.extended.should_checkpoint)


def check_batch(strategy: tf.distribute.Strategy, batch: int) -> None:
    """See that each replica has an equal share of a batch.

    Raises:
        InputError: If it does not divide.
    """
    replicas = strategy.num_replicas_in_sync
    if batch % replicas:
        raise InputError(
            f"Expected a batch that divides by the {replicas} devices, received {batch}. Change the recipe's batch."
        )


def check_agreement(strategy: tf.distribute.Strategy, epoch: int) -> None:
    """See that all workers are about to go on from the same epoch; also waits for all of them.

    Raises:
        TrainingError: If not.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    everywhere = tf.function(lambda: strategy.run(tf.constant, (float(epoch),)), autograph=False)
    total = float(strategy.reduce("SUM", everywhere(), axis=None))
    if total != epoch * strategy.num_replicas_in_sync:
        raise TrainingError(
            f"Expected all workers to go on from the same epoch, received {epoch} here and another elsewhere. The run "
            "folder must be on a disk that all workers share."
        )


@contextmanager
def workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Around what needs the other workers.

    Raises:
        TrainingError: If one of them is lost.
    """
    try:
        yield
    except _LOST as error:
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise
        reason = " ".join(error.message.rpartition("}} ")[2].split())[:200]
        raise TrainingError(
            "Expected all workers to stay until the end, lost one. Start all of them again: the run goes on from its "
            f"last checkpoint. ({reason})"
        ) from error


def _logical_cpus(name: str) -> list[tf.config.LogicalDevice]:
    number = name.removeprefix("cpu:")
    if not number.isascii() or not number.isdigit() or int(number) < 1:
        raise InputError(f"Expected cpu:N with a number of devices from 1, received {name!r}.")
    cpu = tf.config.list_physical_devices("CPU")[0]
    with suppress(RuntimeError):  # if TensorFlow has begun, it may have as many all the same
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(number))
    devices: list[tf.config.LogicalDevice] = tf.config.list_logical_devices("CPU")
    if len(devices) != int(number):
        raise InputError(
            f"Expected a process in which TensorFlow has not begun for {name}, received one with {len(devices)} "
            "logical CPUs. Choose the strategy in a new process."
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
            f"{_CLUSTER_EXAMPLE}, received {text!r}."
        )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise InputError(
            f"Expected workers that can be reached, in a process in which TensorFlow has not begun, received {error} "
            f"Check {CLUSTER_VARIABLE}."
        ) from error
