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
class ConvolutionMuon(keras.optimizers.Muon):
    """Keras's Muon, which knows matrices only, for the kernels of convolutions too.

    Muon turns each update of a matrix into the nearest orthogonal one, so that rare directions
    learn as fast as common ones (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon).
    A kernel [height, width, in, out] counts as the matrix [height · width · in, out]. Biases and
    other vectors are updated as by AdamW. Arguments: those of `keras.optimizers.Muon`.
    """

    def _should_use_adamw(self, variable):
        return len(variable.shape) < 2

    def _muon_update_step(self, gradient, variable, lr, m):
        self.assign_add(m, gradient + (self.momentum - 1) * m)
        ahead = ops.reshape(gradient + self.momentum * m, (-1, variable.shape[-1]))
        update = self.zeropower_via_newtonschulz5(ahead, self.ns_steps)
        # As large as updates by AdamW are (Liu et al., 2025, https://arxiv.org/abs/2502.16982).
        size = self.rms_rate * math.sqrt(max(ahead.shape))
        self.assign_sub(variable, ops.reshape(lr * size * update, variable.shape))
