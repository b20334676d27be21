import keras
import numpy as np
import pytest

from steglib.images.damage import damaged
from steglib.models import robust
from steglib.models.encoder_decoder import save
from steglib.models.plain import PlainConfig, PlainRecipe
from steglib.models.robust import RandomDamage, RobustConfig, RobustRecipe
from steglib.training.run import train

LAYER = RandomDamage()


def through(images, kind, strength):
    noise = np.random.default_rng(0).standard_normal(images.shape, np.float32)
    dice = robust.dice(kind, strength, len(images))
    return keras.ops.convert_to_numpy(LAYER([images.astype("float32"), dice, noise]))


@pytest.mark.parametrize(
    "kind, strength, line",
    [
        ("none", 0.5, "png"),
        ("jpeg", 0.0, "jpeg:70"),
        ("jpeg", 0.5, "jpeg:83"),
        ("jpeg", 1.0, "jpeg:95"),
        ("blur", 1.0, "blur:0.7"),
        ("resize", 0.5, "resize:0.75"),
    ],
)
def test_it_does_what_real_files_and_filters_do(pairs, kind, strength, line):
    images, _ = pairs
    got = through(images, kind, strength)
    assert np.array_equal(got, np.clip(np.rint(got), 0, 255))
    wanted = np.stack([damaged(image, line) for image in images]).astype(float)
    difference, damage = (np.sqrt(np.mean((wanted - other) ** 2)) for other in (got, images))
    assert difference <= 0.5 * damage, (difference, damage)


def test_noise_is_as_strong_as_its_dice_say(pairs):
    mid_grey = np.full((2, 64, 64, 3), 127)
    assert np.std(through(mid_grey, "noise", 0.5)) == pytest.approx(robust.NOISE / 2, rel=0.02)


def test_each_image_has_damage_of_its_own(pairs):
    images = np.stack([pairs[0][0]] * 3).astype("float32")
    kinds = ("none", 0), ("jpeg", 0), ("jpeg", 1)
    dice = np.concatenate([robust.dice(*kind, 1) for kind in kinds])
    untouched, strong, weak = keras.ops.convert_to_numpy(
        LAYER([images, dice, np.zeros_like(images)])
    ).astype(float)
    assert np.array_equal(untouched, images[0])
    assert 0 < np.abs(weak - images[0]).mean() < np.abs(strong - images[0]).mean()


def test_gradients_pass_all_kinds_of_damage(pairs):
    import tensorflow as tf

    images = tf.constant(pairs[0].astype("float32"))
    for kind in robust.SHARES:
        dice = robust.dice(kind, 0.3, len(images))
        with tf.GradientTape() as tape:
            tape.watch(images)
            damaged_images = LAYER([images, dice, np.zeros(images.shape, np.float32)])
            error = tf.reduce_mean(tf.square(damaged_images - 100.0))
        gradient = tape.gradient(error, images).numpy()
        assert np.isfinite(gradient).all()
        # A step against it brings the damaged image nearer to what is wanted.
        moved = through(images.numpy() - 2e4 * gradient, kind, 0.3)
        assert np.mean((moved - 100.0) ** 2) < 0.9 * float(error), kind


def test_what_is_exported_hides_without_damage(home):
    size = {"width": 8, "hidden": 8, "encoder_blocks": 1, "decoder_blocks": 1}
    config = RobustConfig(images=20, held_out=8, epochs=1, batch_size=4, **size)
    run = train(RobustRecipe(config), "robust", verbose=0)
    model = keras.saving.load_model(run / "model.keras", compile=False, safe_mode=True)
    assert [tensor.name for tensor in model.inputs] == ["cover", "secret"]


def test_it_begins_with_given_weights(tmp_path):
    size = {"width": 8, "hidden": 8, "encoder_blocks": 1, "decoder_blocks": 1}
    plain = PlainRecipe(PlainConfig(**size)).build()
    save(plain, tmp_path / "plain.keras")
    started = RobustRecipe(RobustConfig(**size, start=str(tmp_path / "plain.keras"))).build()
    random = RobustRecipe(RobustConfig(**size)).build()
    kernels = [model.get_weights()[0] for model in (plain, started, random)]
    assert np.array_equal(kernels[0], kernels[1]) and not np.array_equal(kernels[0], kernels[2])
