"""An optimizer for networks of convolutions that begin at random."""

import math

import keras
from keras import ops


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
