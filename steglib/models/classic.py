"""The classic model: convolutional networks around the two maps of linear hiding.

The last layer of each network starts at zero: training starts from linear hiding.
"""

from dataclasses import dataclass

from keras import layers

from steglib.layers import skip_block
from steglib.models.encoder_decoder import PairConfig, PairRecipe, join
from steglib.models.linear import DEPTH, build_linear_decoder, build_linear_encoder, start_linear

CORRECTION = 4.0  # grey levels: what one unit of a network's output means


def build_encoder(width: int = 192, hidden: int = 128, blocks: int = 2, **linear):
    """Cover and secret [n, h, w, 3] → stego image; sides a multiple of 8, grey levels 0…255.

    `start_linear` gives it its frozen maps. Sums of skip blocks and frozen maps are float32,
    convolutions follow Keras's dtype policy. Further arguments are `build_linear_encoder`'s.
    """

    def correct(cover, secret):
        branches = [
            _branch(components, width // 2, name)
            for components, name in ((cover, "cover_branch"), (secret, "secret_branch"))
        ]
        x = layers.Concatenate(dtype="float32", name="join")(branches)
        return _correction(x, hidden, blocks, "encoder")

    return build_linear_encoder(correct=correct, **linear)


def build_decoder(width: int = 192, hidden: int = 128, blocks: int = 2):
    """Stego image [n, h, w, 3] → revealed secret; sides a multiple of 8, grey levels."""

    def correct(stego):
        return _correction(_branch(stego, width, "stego_branch"), hidden, blocks, "decoder")

    return build_linear_decoder(correct)


def _branch(components, width, name):
    """Components of power one, and a 1×1 convolution."""
    x = layers.Normalization(dtype="float32", name=f"{name}_power_one")(components)
    return layers.Conv2D(width, 1, name=name)(x)


def _correction(x, hidden, blocks, name):
    """Skip blocks, and a last layer that starts at zero."""
    for i in range(blocks):
        x = skip_block(x, hidden, f"{name}_{i}")
    x = layers.Conv2D(DEPTH, 1, kernel_initializer="zeros", name="correction")(x)
    return layers.Rescaling(CORRECTION, dtype="float32", name="correction_in_grey_levels")(x)


@dataclass(frozen=True)
class ClassicConfig(PairConfig):
    """What the classic model has too.

    Attributes:
        carried, strength, rounding_beta: of the linear hiding to start from, see
            `linear.start_linear`.
        shaped, projections: of its encoder, see `linear.build_linear_encoder`.
        width, hidden, encoder_blocks, decoder_blocks: size of the networks.
    """

    carried: int = 84
    strength: float = 2.4
    rounding_beta: float = 6.0
    shaped: bool = True
    projections: int = 3
    width: int = 192
    hidden: int = 128
    encoder_blocks: int = 2
    decoder_blocks: int = 2


class ClassicRecipe(PairRecipe):
    """The classic model, begun as linear hiding."""

    name = "classic"
    config_class = ClassicConfig

    def build(self):
        config, (training, _) = self.config, self.split
        size = {"width": config.width, "hidden": config.hidden}
        encoder = build_encoder(
            **size,
            blocks=config.encoder_blocks,
            carried=config.carried,
            shaped=config.shaped,
            projections=config.projections,
        )
        decoder = build_decoder(blocks=config.decoder_blocks, **size)
        start = config.carried, config.strength, config.rounding_beta
        start_linear(encoder, decoder, self.images[training], *start)
        return join(encoder, decoder)
