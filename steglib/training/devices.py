"""Where a training runs, and how precisely it computes there."""

import contextlib
from pathlib import Path

import keras


def scope():
    """The context in which a model is built and compiled, so that it runs on all devices meant."""
    return contextlib.nullcontext()


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
