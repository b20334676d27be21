"""Where a training runs: on which devices and machines, and how precisely.

A training uses all GPUs that the backend shows (`CUDA_VISIBLE_DEVICES` hides some), else the CPU.
Each device works on an equal part of every batch, and all make the same update, so that a run ends
where it would on one device, but for rounding. On JAX, processes on several machines share a run
in the same way: see `_join_cluster`.
"""

import contextlib
import functools
import os
import sys
from pathlib import Path

import keras
import numpy as np

from steglib import paths


def scope():
    """The context in which a model is built, compiled and trained, for it to use all devices."""
    if count() == 1:
        return contextlib.nullcontext()
    if keras.backend.backend() == "jax":
        # Every process makes its own part of each batch, see `Part`.
        return keras.distribution.DataParallel(devices=_names(), auto_shard_dataset=False).scope()
    return _mirrored().scope()


@functools.cache
def _mirrored():
    """One for the whole process: a second one would reuse the first one's collective keys."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(_names())


def count() -> int:
    """How many devices share each batch, those of other machines included."""
    return len(_names())


@functools.cache
def _names() -> tuple[str, ...]:
    _join_cluster()
    if keras.backend.backend() == "jax":
        return tuple(keras.distribution.list_devices())
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        kinds = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
        return tuple(device.name for device in next(filter(None, kinds)))
    return ("cpu",)


def _join_cluster():
    """Meets the other processes of a training that Keras's environment variables describe.

    `KERAS_DISTRIBUTION_JOB_ADDRESSES` (of process 0, with a port), `…_NUM_PROCESSES` and
    `…_PROCESS_ID`. They need a common folder for the run, which process 0 writes.
    """
    if "KERAS_DISTRIBUTION_NUM_PROCESSES" not in os.environ:
        return
    if keras.backend.backend() != "jax":
        raise ValueError("Several processes share a training on JAX only: set KERAS_BACKEND=jax.")
    keras.distribution.initialize()


def describe() -> str:
    """What Keras computes with here, and how to get more, for the top of a notebook."""
    found = f"Keras {keras.__version__} on {keras.backend.backend()}, {dtype_policy(None)}"
    if _compute_capability():
        return f"{found}, GPUs: {count()}. A training uses all of them."
    if paths.kaggle_root():
        more = "For two GPUs: Settings → Accelerator → GPU T4 ×2."
    elif "google.colab" in sys.modules:
        more = "For a GPU: Runtime → Change runtime type."
    else:
        more = "All chapters run without one; Kaggle lends two, see the README."
    return f"{found}, {os.cpu_count()} CPU cores, no GPU. {more}"


def check(batch_size: int):
    """Raises ValueError if batches of that size cannot be shared out evenly."""
    if batch_size % count():
        raise ValueError(
            f"batch_size must be a multiple of {count()}, the number of devices, not {batch_size}."
        )


def fill_up(inputs, target) -> tuple:
    """Repeats the last example until all can be shared out evenly.

    Returns:
        Inputs and target, and if any were added, weights that leave weighted means as they were.
    """
    n, added = len(target), -len(target) % count()
    if not added:
        return inputs, target
    rows = np.minimum(np.arange(n + added), n - 1)
    weights = np.where(np.arange(n + added) < n, (n + added) / n, 0.0)
    return *keras.tree.map_structure(lambda array: array[rows], (inputs, target)), weights


def synchronise(model):
    """Makes the optimizer of a compiled model see the gradient of the whole batch.

    On TensorFlow, Keras clips gradients and looks for overflows on each device, and adds up what
    remains. Here they are averaged before; the sum of as many averages is the whole.
    """
    if keras.backend.backend() != "tensorflow" or count() == 1:
        return
    import tensorflow as tf

    optimizer, apply = model.optimizer, model.optimizer.apply
    clipping = getattr(optimizer, "inner_optimizer", optimizer)
    if clipping.global_clipnorm:
        clipping.global_clipnorm /= count()

    def apply_average(gradients, trainable_variables=None):
        context = tf.distribute.get_replica_context()
        apply(context.all_reduce("MEAN", gradients), trainable_variables)

    optimizer.apply = apply_average


class Part(keras.utils.PyDataset):
    """What this process contributes to each batch of a dataset."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return part(self.batches[index])


def part(arrays):
    """The rows of this process, of arrays in any structure."""
    index, processes = process()

    def rows(array):
        size = len(array) // processes
        return array[index * size : (index + 1) * size]

    return keras.tree.map_structure(rows, arrays)


def is_first() -> bool:
    """Whether this process writes the files."""
    return process()[0] == 0


def process() -> tuple[int, int]:
    """Which process this is, and how many share the training."""
    if count() == 1 or keras.backend.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def wait():
    """Until all processes are here."""
    if process()[1] > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("steglib")


@contextlib.contextmanager
def precision(mixed: bool | None):
    """Layers made in this context follow `dtype_policy(mixed)`."""
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy(mixed))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(usual)


def dtype_policy(mixed: bool | None) -> str:
    """The name of Keras's dtype policy for mixed precision, or none, on this machine.

    Args:
        mixed: None decides by the processor: mixed where 16-bit floats are native.
    """
    gpu = _compute_capability()
    if mixed is None:
        flags = Path("/proc/cpuinfo")
        on_cpu = flags.is_file() and "avx512_bf16" in flags.read_text()
        mixed = on_cpu if gpu is None else gpu >= 7.0
    if not mixed:
        return "float32"
    return "mixed_bfloat16" if gpu is None or gpu >= 8.0 else "mixed_float16"


def _compute_capability() -> float | None:
    """CUDA compute capability of the first GPU, None without one."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return float(device.compute_capability) if device.platform == "gpu" else None
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            details = tf.config.experimental.get_device_details(gpus[0])
            major, minor = details.get("compute_capability", (7, 0))
            return major + minor / 10
    return None
