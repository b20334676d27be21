"""The reveal loss and the full loss of deep steganography (Baluja, NeurIPS 2017).

Both compare grey levels 0…255. `full_loss` and the metrics take joined images
[n, h, w, 6]: cover and secret against stego and revealed.
"""

import keras
from keras import ops

SCALES = ("mse", "log", "log_sum")


def _image_mse(y_true, y_pred):
    return ops.mean(ops.square(y_pred - ops.cast(y_true, y_pred.dtype)), axis=(1, 2, 3))


def _psnr(mse):
    return 10.0 * ops.log10(255.0**2 / (mse + 1e-9))


def _decibels(mse):
    # At least the error of rounding alone, 1/12: no gain in chasing what a file cannot hold.
    return -_psnr(mse + 1.0 / 12.0)


@keras.saving.register_keras_serializable("steglib")
class RevealLoss(keras.losses.Loss):
    """How far revealed images are from the secrets, per image.

    Args:
        scale: "mse" for the mean squared error (grey levels squared), "log" for minus the
            PSNR in decibels: the logarithm of each image's MSE, so that no hard image
            outweighs the others. "log_sum" is the same here; in the full loss, it is the
            logarithm of each pair's sum.
    """

    def __init__(self, scale="mse", name="reveal_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, not {scale!r}.")
        self.scale = scale

    def call(self, y_true, y_pred):
        """[n] losses of secrets y_true and revealed images y_pred, both [n, h, w, 3]."""
        mse = _image_mse(y_true, y_pred)
        return mse if self.scale == "mse" else _decibels(mse)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("steglib")
class FullLoss(RevealLoss):
    """The reveal loss plus β times the same loss between covers and stego images.

    From a random start, "log" collapses: it gains more by changing nothing of the cover than by
    hiding anything. "log_sum", the logarithm of both errors' weighted sum, does not.

    Args:
        beta: weight of the cover, ≥ 0.
        scale: "mse", "log" or "log_sum", as in `RevealLoss`.
    """

    def __init__(self, beta=1.0, scale="mse", name="full_loss", **kwargs):
        super().__init__(scale=scale, name=name, **kwargs)
        self.beta = beta

    def call(self, y_true, y_pred):
        """[n] losses of joined images, both [n, h, w, 6]."""
        reveal, cover = reveal_mse(y_true, y_pred), cover_mse(y_true, y_pred)
        if self.scale == "log":
            return _decibels(reveal) + self.beta * _decibels(cover)
        full = reveal + self.beta * cover
        return full if self.scale == "mse" else _decibels(full)

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
