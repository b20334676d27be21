import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from steglib.training import callbacks
from steglib.training.callbacks import Checkpoint, SamplePictures, best_then


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def test_sample_pictures_stand_side_by_side(tmp_path, model):
    left = np.full((2, 3, 4, 3), 300.0)
    right = np.arange(2 * 3 * 4 * 3).reshape(2, 3, 4, 3) + 0.4
    callback = SamplePictures(tmp_path / "samples", lambda _: (left, right))
    callback.set_model(model)
    callback.on_epoch_end(4, {"loss": 1.0})
    picture = np.asarray(Image.open(tmp_path / "samples" / "epoch-0005.png"))
    assert picture.shape == (6, 8, 3)
    assert (picture[:, :4] == 255).all()
    assert np.array_equal(picture[:, 4:], np.arange(72).reshape(6, 4, 3))
    callback.on_epoch_end(5, {"loss": np.nan})
    assert len(list((tmp_path / "samples").iterdir())) == 1


def test_a_recipe_may_draw_nothing(tmp_path, model):
    callback = SamplePictures(tmp_path / "samples", lambda _: ())
    callback.set_model(model)
    callback.on_epoch_end(0, {"loss": 1.0})
    assert not (tmp_path / "samples").exists()


def test_only_the_last_checkpoint_remains_and_is_whole(tmp_path, model, monkeypatch):
    best = tmp_path / "best.weights.h5"
    checkpoint = Checkpoint(tmp_path / "checkpoint", best)
    checkpoint.set_model(model)
    checkpoint.on_epoch_begin(0)  # nothing is known yet
    for epoch in (1, 2):
        best.write_text(f"best of {epoch}")
        checkpoint.on_epoch_begin(epoch)
    (last,) = Checkpoint.finished(tmp_path / "checkpoint")
    assert last.name == "00002.weights.h5" and best_then(last).read_text() == "best of 2"
    assert len(list((tmp_path / "checkpoint").iterdir())) == 2

    def fail(path, **_):
        path.write_text("half")
        raise KeyboardInterrupt

    # A run that goes on begins with the epoch of its checkpoint, and writes that again.
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copy", lambda source, target: fail(target))
        checkpoint.on_epoch_begin(2)
    assert best_then(last).read_text() == "best of 2"
    monkeypatch.setattr(model, "save_weights", fail)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.on_epoch_begin(3)
    assert Checkpoint.finished(tmp_path / "checkpoint") == [last]


def test_tensorboard_is_left_out_where_it_is_not_installed(tmp_path, monkeypatch):
    (callback,) = callbacks.tensorboard(tmp_path)
    assert isinstance(callback, keras.callbacks.TensorBoard)
    monkeypatch.setattr(callbacks, "find_spec", lambda name: None)
    assert callbacks.tensorboard(tmp_path) == []
