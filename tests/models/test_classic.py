import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from steglib import hide_and_reveal, load_images, load_model
from steglib.evaluation import metrics
from steglib.models.classic import ClassicConfig, ClassicRecipe, build_decoder, build_encoder
from steglib.models.encoder_decoder import EncoderDecoder
from steglib.models.linear import linear_hider, start_linear
from steglib.training.run import load_history, train

SIZE = {"width": 16, "hidden": 8, "encoder_blocks": 1, "decoder_blocks": 1}
TINY = ClassicConfig(images=56, held_out=8, epochs=2, batch_size=8, mixed_precision=False, **SIZE)


@pytest.fixture(scope="module")
def hider():
    return load_model("classic")


def test_shipped_weights_hide_and_reveal_better_than_four_bits(hider, pairs):
    """The floor is far below what the README reports: broken weights fail, luck does not."""
    covers, secrets = pairs
    stegos, revealed = hide_and_reveal(hider, covers, secrets)
    assert metrics.psnr(covers, stegos).mean() > 36
    assert metrics.psnr(secrets, revealed).mean() > 32


def test_at_most_one_and_a_half_million_parameters(hider):
    assert hider.encoder.count_params() + hider.decoder.count_params() <= 1.5e6


def test_black_and_white_covers(hider, pairs):
    """The hardest covers: every sample is at a limit."""
    secret = pairs[1][0]
    for level in (0, 255):
        cover = np.full_like(secret, level)
        stego = hider.hide(cover, secret)
        assert metrics.psnr(secret[None], hider.reveal(stego)[None])[0] > 25
        assert np.abs(stego.astype(int) - level).mean() < 40


@pytest.fixture(scope="module")
def started():
    """Encoder and decoder with networks, as training begins."""
    encoder = build_encoder(width=16, hidden=8, blocks=1)
    decoder = build_decoder(width=16, hidden=8, blocks=1)
    images = load_images("sample", "train").images
    start_linear(encoder, decoder, images)
    return encoder, decoder, images


def test_training_begins_as_linear_hiding(started, pairs):
    encoder, decoder, images = started
    hider, linear = EncoderDecoder(encoder, decoder, "begun"), linear_hider(images)
    stego = hider.hide(*pairs)
    assert np.array_equal(stego, linear.hide(*pairs))
    assert np.array_equal(hider.reveal(stego), linear.reveal(stego))


def test_networks_see_components_of_power_one(started):
    encoder, decoder, images = started
    both = [images[::8], images[1::8]]
    stego = encoder.predict(both, verbose=0)
    for network, inputs in ((encoder, both), (decoder, stego)):
        for layer in network.layers:
            if not layer.name.endswith("_power_one"):
                continue
            normalised = keras.Model(network.inputs, layer.output).predict(inputs, verbose=0)
            power = np.square(normalised).mean((0, 1, 2))
            assert 0.5 < np.median(power) < 2 and power.min() > 0.2 and power.max() < 5


def test_stego_images_are_whole_grey_levels(started, pairs):
    stego = started[0].predict([pairs[0], pairs[1]], verbose=0)
    assert np.array_equal(stego, np.rint(stego))
    assert stego.min() >= 0 and stego.max() <= 255


def test_backends_reveal_the_same_within_one_grey_level(hider, pairs, run_python, tmp_path):
    covers, secrets = pairs
    stegos = hider.hide(covers, secrets)
    np.savez(tmp_path / "in.npz", covers=covers, secrets=secrets, stegos=stegos)
    script = """
import sys, keras, numpy as np
from steglib import load_model
given = np.load(sys.argv[1])
hider = load_model(sys.argv[2])
stegos, revealed = hider.hide(given["covers"], given["secrets"]), hider.reveal(given["stegos"])
np.savez(sys.argv[3], stegos=stegos, revealed=revealed, backend=keras.backend.backend())
"""
    files = tmp_path / "in.npz", hider.name, tmp_path / "out.npz"
    done = run_python("-c", script, *files, KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    other = np.load(tmp_path / "out.npz")
    assert other["backend"] == "jax" and keras.backend.backend() == "tensorflow"
    assert np.abs(other["revealed"].astype(int) - hider.reveal(stegos)).max() <= 1
    here, there = (metrics.psnr(secrets, hider.reveal(s)).mean() for s in (stegos, other["stegos"]))
    assert there == pytest.approx(here, abs=0.1)  # another stego image perhaps, no worse


@pytest.mark.slow
def test_the_exported_model_is_what_was_scored(home):
    run = train(ClassicRecipe(TINY), "tiny", verbose=0)
    covers, secrets = ClassicRecipe(TINY).pairs
    hider, scores = load_model(run / "model.keras"), json.loads((run / "metrics.json").read_text())
    assert hider.name == "tiny"
    psnr = metrics.psnr(covers, hider.hide(covers, secrets)).mean()
    assert psnr == pytest.approx(scores["cover_psnr"], abs=0.05)
    assert {"val_cover_psnr", "val_secret_psnr", "val_reveal_mse"} <= set(load_history(run))


@pytest.mark.slow
def test_beta_decides_what_training_improves(home):
    fast = {"images": 72, "epochs": 8, "learning_rate": 5e-3, "width": 32, "ema": 0.9}

    def history(beta, name):
        config = replace(TINY, beta=beta, **fast)
        return load_history(train(ClassicRecipe(config), name, verbose=0))

    secret_only = history(0.0, "b0")
    assert secret_only["loss"].iloc[-1] < secret_only["loss"].iloc[0] - 0.1
    cover_psnr = history(20.0, "b20")["val_cover_psnr"]
    assert cover_psnr.iloc[-1] > cover_psnr.iloc[0] + 0.5
    assert cover_psnr.iloc[-1] > secret_only["val_cover_psnr"].iloc[-1] + 0.5


@pytest.mark.slow
def test_mixed_precision_leaves_sums_and_the_export_in_float32(home):
    config = replace(TINY, epochs=1, encoder_blocks=2, mixed_precision=True)
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder = ClassicRecipe(config).build().get_layer("encoder")
    keras.config.set_dtype_policy("float32")
    assert encoder.get_layer("encoder_0_3x3").compute_dtype == "bfloat16"
    for name in (
        "cover_components",
        "encoder_0_sum",
        "encoder_1_sum",
        "to_pixels",
        "fit_range",
        "stego",
    ):
        assert encoder.get_layer(name).compute_dtype == "float32", name
    exported = load_model(train(ClassicRecipe(config), "mixed", verbose=0) / "model.keras")
    assert exported.encoder.get_layer("encoder_0_3x3").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
