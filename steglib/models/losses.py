"""The reveal loss and the full loss of deep steganography (Baluja, NeurIPS 2017).

Both compare grey levels 0…255. `FullLoss` and the metrics take joined images
[n, h, w, 6]: cover and secret against stego and revealed.
"""

import keras
from keras import ops

SCALES = ("mse", "rmse", "log")
ROUNDING = 1.0 / 12.0  # the MSE of rounding: no gain in chasing what a file cannot hold


def _image_mse(y_true, y_pred):
    return ops.mean(ops.square(y_pred - ops.cast(y_true, y_pred.dtype)), axis=(1, 2, 3))


def _psnr(mse):
    return 10.0 * ops.log10(255.0**2 / (mse + 1e-9))


def _decibels(mse):
    return -_psnr(mse + ROUNDING)


@keras.saving.register_keras_serializable("steglib")
class RevealLoss(keras.losses.Loss):
    """How far revealed images are from the secrets, per image.

    Args:
        scale: "mse" for the mean squared error, in grey levels squared; "rmse" for its root, in
            grey levels; "log" for minus the PSNR, in decibels. With either of these, no hard image
            outweighs the others.

    Raises:
        ValueError: there is no such scale.
    """

    def __init__(self, scale="mse", name="reveal_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, not {scale!r}.")
        self.scale = scale

    def call(self, y_true, y_pred):
        """[n] losses of secrets y_true and revealed images y_pred, both [n, h, w, 3]."""
        mse = _image_mse(y_true, y_pred)
        return _decibels(mse) if self.scale == "log" else self._scaled(mse)

    def _scaled(self, mse):
        return ops.sqrt(mse + ROUNDING) if self.scale == "rmse" else mse

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("steglib")
class FullLoss(RevealLoss):
    """The reveal loss plus β times the same loss between covers and stego images.

    "rmse" takes the root of the sum of both MSEs, "log" the sum of both logarithms. The latter
    collapses from a random start: more is gained by changing nothing of the cover than by hiding
    anything.

    Args:
        beta: weight of the cover, ≥ 0.
        scale: "mse", "rmse" or "log", as in `RevealLoss`.
    """

    def __init__(self, beta=1.0, scale="mse", name="full_loss", **kwargs):
        super().__init__(scale=scale, name=name, **kwargs)
        self.beta = beta

    def call(self, y_true, y_pred):
        """[n] losses of joined images, both [n, h, w, 6]."""
        reveal, cover = reveal_mse(y_true, y_pred), cover_mse(y_true, y_pred)
        if self.scale == "log":
            return _decibels(reveal) + self.beta * _decibels(cover)
        return self._scaled(reveal + self.beta * cover)

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}


def reveal_mse(y_true, y_pred):
    """MSE of the secret, in grey levels squared, [n] for joined images [n, h, w, 6]."""
    return _image_mse(y_true[..., 3:], y_pred[..., 3:])


def cover_mse(y_true, y_pred):
    """MSE of the cover, likewise."""
    return _image_mse(y_true[..., :3], y_pred[..., :3])


def secret_psnr(y_true, y_pred):
    """PSNR of the secret in decibels, [n] for joined images."""
    return _psnr(reveal_mse(y_true, y_pred))


def cover_psnr(y_true, y_pred):
    """PSNR of the cover in decibels, likewise."""
    return _psnr(cover_mse(y_true, y_pred))
