"""Learning rates, and an optimizer for networks of convolutions that begin at random."""

import math

import keras
from keras import ops


def learning_rates(config, updates: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule of a training with `updates` updates in all.

    Args:
        config: a `recipe.TrainingConfig`: its `schedule`, `learning_rate` and `warmup` count.
    """
    if config.schedule == "cosine":
        warmup = max(1, round(config.warmup * updates))
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            warmup_target=config.learning_rate,
            warmup_steps=warmup,
            decay_steps=max(1, updates - warmup),
        )
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [round(part * updates) for part in (0.2, 0.4, 0.6)],
        [config.learning_rate * factor for factor in (1.0, 0.3, 0.1, 0.03)],
    )


@keras.saving.register_keras_serializable("steglib")
class ConvolutionMuon(keras.optimizers.AdamW):
    """Muon for the kernels of convolutions, AdamW without weight decay for biases.

    Muon turns each update of a matrix into the nearest orthogonal one, so that rare directions
    learn as fast as common ones (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon).
    A kernel [height, width, in, out] counts as the matrix [height · width · in, out]. Updates are
    as large as AdamW's (Liu et al., 2025, https://arxiv.org/abs/2502.16982), so that the same
    learning rates and weight decays serve. Arguments: those of `keras.optimizers.AdamW`. (Keras's
    own Muon leaves out kernels of convolutions, and differs between versions.)
    """

    MOMENTUM = 0.95

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.exclude_from_weight_decay(var_names=["bias"])

    def update_step(self, gradient, variable, learning_rate):
        if len(variable.shape) < 2:
            return super().update_step(gradient, variable, learning_rate)
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, self.MOMENTUM * momentum + gradient)
        ahead = gradient + self.MOMENTUM * momentum  # Nesterov's
        update = _orthogonal(ops.reshape(ahead, (-1, variable.shape[-1])))
        size = 0.2 * math.sqrt(max(update.shape)) * ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, ops.reshape(size * update, variable.shape))


def _orthogonal(matrix):
    """Nearly the nearest orthogonal one: five Newton-Schulz steps, as Jordan tuned them."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if tall else matrix
    x = x / (ops.norm(x) + 1e-7)
    for _ in range(5):
        square = x @ ops.transpose(x)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return ops.transpose(x) if tall else x
