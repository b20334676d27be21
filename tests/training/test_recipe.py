import numpy as np
import pytest

from steglib.training.recipe import Recipe, TrainingConfig


def test_unknown_schedule():
    with pytest.raises(ValueError, match=r"schedule must be one of .*not 'linear'"):
        TrainingConfig(schedule="linear")


def test_the_config_says_which_images_are_held_out():
    recipe = Recipe(TrainingConfig(images=40, held_out=10))
    training, held_out = recipe.split
    assert recipe.images.shape == (40, 64, 64, 3)
    assert sorted([*training, *held_out]) == list(range(40)) and len(held_out) == 10


def test_of_given_images_none_is_held_out():
    images = np.zeros((5, 8, 8, 3), np.uint8)
    recipe = Recipe(TrainingConfig(), images)
    assert recipe.images is images
    assert [part.tolist() for part in recipe.split] == [[0, 1, 2, 3, 4], []]


@pytest.mark.parametrize("ema, weight_decay", [(0.9, 0.1), (0.0, 0.0)])
def test_the_optimizer_does_as_the_config_says(ema, weight_decay):
    config = TrainingConfig(ema=ema, weight_decay=weight_decay, clip_norm=0.5)
    optimizer = Recipe(config).optimizer(10)
    assert optimizer.use_ema is (ema > 0) and optimizer.ema_momentum == ema
    assert optimizer.weight_decay == weight_decay and optimizer.global_clipnorm == 0.5
