"""The plain model: the network that the project was asked for, learned from a random start.

Encoder: cover and secret each through convolutions, joined, more convolutions, one image.
Decoder: convolutions, one image. (Baluja, NeurIPS 2017.) Both work at a quarter of the
resolution. Notebook 02 builds them layer by layer.
"""

from dataclasses import dataclass

import keras
from keras import layers

from steglib.layers import RoundTo8Bit, skip_block
from steglib.models.encoder_decoder import PairConfig, PairRecipe, join
from steglib.training.optimizers import ConvolutionMuon

STRIDE = 4  # pixels a side that one position of the inner layers stands for
MID_GREY = 127.5
CONTRAST = 64.0  # grey levels: one unit in the networks
CHANGE = 16.0  # grey levels: one unit of what the encoder adds to the cover


def build_encoder(width: int = 80, hidden: int = 128, blocks: int = 4) -> keras.Model:
    """Cover and secret [n, h, w, 3] → stego image; sides a multiple of 4, grey levels 0…255.

    Args:
        width: channels of each branch; twice as many where they are joined.
        hidden: channels inside the skip blocks; half as many in the branches.
        blocks: skip blocks behind the joint.
    """
    cover = keras.Input((None, None, 3), name="cover")
    secret = keras.Input((None, None, 3), name="secret")
    branches = [
        skip_block(_to_features(image, width, name), hidden // 2, f"{name}_block")
        for image, name in ((cover, "cover_branch"), (secret, "secret_branch"))
    ]
    x = layers.Concatenate(dtype="float32", name="join")(branches)
    for i in range(blocks):
        x = skip_block(x, hidden, f"block_{i}")
    change = layers.Rescaling(CHANGE, dtype="float32", name="in_grey_levels")(_to_image(x))
    stego = layers.Add(dtype="float32", name="add_to_cover")([cover, change])
    return keras.Model([cover, secret], RoundTo8Bit(name="stego")(stego), name="encoder")


def build_decoder(width: int = 160, hidden: int = 128, blocks: int = 5) -> keras.Model:
    """Stego image [n, h, w, 3] → revealed secret; sides a multiple of 4, grey levels.

    Args:
        width, hidden: channels between and inside the skip blocks.
        blocks: how many there are.
    """
    stego = keras.Input((None, None, 3), name="stego")
    x = _to_features(stego, width, "stego_branch")
    for i in range(blocks):
        x = skip_block(x, hidden, f"block_{i}")
    secret = layers.Rescaling(CONTRAST, MID_GREY, dtype="float32", name="revealed")(_to_image(x))
    return keras.Model(stego, secret, name="decoder")


def _to_features(image, width, name):
    """[n, h, w, 3] → [n, h/4, w/4, width], by a strided convolution in float32."""
    x = layers.Rescaling(
        1 / CONTRAST, -MID_GREY / CONTRAST, dtype="float32", name=f"{name}_around_zero"
    )(image)
    return layers.Conv2D(width, STRIDE, STRIDE, dtype="float32", name=name)(x)


def _to_image(x):
    """[n, h/4, w/4, c] → [n, h, w, 3], by a transposed convolution in float32."""
    return layers.Conv2DTranspose(3, STRIDE, STRIDE, dtype="float32", name="to_image")(x)


@dataclass(frozen=True)
class PlainConfig(PairConfig):
    """What the plain model has too.

    Attributes:
        width, hidden, encoder_blocks, decoder_blocks: size of the networks.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    loss: str = "rmse"
    width: int = 80
    hidden: int = 128
    encoder_blocks: int = 4
    decoder_blocks: int = 5


class PlainRecipe(PairRecipe):
    """The plain model from a random start."""

    name = "plain"
    config_class = PlainConfig
    optimizer_class = ConvolutionMuon

    def build(self):
        config = self.config
        return join(
            build_encoder(config.width, config.hidden, config.encoder_blocks),
            build_decoder(2 * config.width, config.hidden, config.decoder_blocks),
        )
