import keras
import numpy as np
import pytest

from steglib.evaluation import metrics
from steglib.images.pairs import load_pairs
from steglib.models.encoder_decoder import EncoderDecoder, take_apart
from steglib.models.plain import PlainConfig, PlainRecipe, build_decoder, build_encoder
from steglib.training.run import fit, prepare


def test_at_most_two_million_parameters_all_of_them_trained():
    networks = build_encoder(), build_decoder()
    assert sum(network.count_params() for network in networks) <= 2_000_000
    assert not any(network.non_trainable_weights for network in networks)


@pytest.mark.slow
def test_one_update_reaches_every_weight_of_both_networks(pairs):
    images = np.concatenate(pairs)
    recipe = PlainRecipe(PlainConfig(batch_size=8, ema=0, width=8, hidden=8), images)
    model = prepare(recipe, updates=20)
    before = model.get_weights()
    for batch in list(recipe.batches())[:2]:  # the first one learns at a rate of 0
        model.train_on_batch(*batch)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new)


def test_the_stego_image_is_8_bit_whatever_the_size():
    encoder, decoder = build_encoder(8, 8, 1), build_decoder(16, 8, 1)
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 3)).astype("float32")
    stego = keras.ops.convert_to_numpy(encoder([images, images[::-1]]))
    assert stego.shape == images.shape and np.array_equal(stego, np.rint(stego))
    assert stego.min() >= 0 and stego.max() <= 255
    assert keras.ops.shape(decoder(stego)) == images.shape


@pytest.mark.slow
def test_half_a_minute_from_a_random_start_hides_what_can_be_recognised(pairs):
    images = np.concatenate(pairs)
    size = {"width": 32, "hidden": 32, "encoder_blocks": 1, "decoder_blocks": 1}
    config = PlainConfig(batch_size=8, epochs=125, ema=0.9, **size)
    covers, secrets = load_pairs(images, 8, seed=1)

    def quality(updates):
        hider = EncoderDecoder(*take_apart(fit(PlainRecipe(config, images), updates)), "plain")
        stegos = hider.hide(covers, secrets)
        revealed = hider.reveal(stegos)
        return metrics.psnr(covers, stegos).mean(), metrics.psnr(secrets, revealed).mean()

    assert quality(1)[1] < 17  # what a grey image reveals of any secret
    assert min(quality(250)) > 24
