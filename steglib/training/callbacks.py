"""What happens between two epochs of a training."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np


class Checkpoint(keras.callbacks.Callback):
    """Keeps the whole state between two epochs in `folder`, whenever the run is killed.

    It saves as an epoch begins, when all that the other callbacks wrote for the one before is
    complete and `SwapEMAWeights` (which comes before it) has put the trained weights back. The
    number of finished epochs is in the file's name, and a file appears only when complete.

    Args:
        folder: for the checkpoints.
        best: the best weights so far, which are copied along: whoever writes that file may be
            killed in the middle of it.
    """

    def __init__(self, folder: Path, best: Path):
        super().__init__()
        self.folder, self.best = folder, best

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            return  # the seed says how the first one begins
        self.folder.mkdir(exist_ok=True)
        scratch, complete = (self.folder / f"{n}.weights.h5" for n in ("writing", f"{epoch:05d}"))
        shutil.copy(self.best, scratch)
        scratch.replace(best_then(complete))
        self.model.save_weights(scratch, overwrite=True)
        scratch.replace(complete)
        for older in self.finished(self.folder)[:-1]:
            best_then(older).unlink(missing_ok=True)
            older.unlink()

    @staticmethod
    def finished(folder: Path) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(folder.glob("[0-9]*.weights.h5"))


def best_then(checkpoint: Path) -> Path:
    """The best weights at the time of a checkpoint."""
    return checkpoint.with_name(checkpoint.name.replace(".weights.", ".best."))


class SamplePictures(keras.callbacks.Callback):
    """Saves a picture after each epoch.

    Args:
        folder: for the pictures.
        draw: function of the model; returns what stands side by side, each grey levels
            [n, h, w, 3], or nothing for no picture.
    """

    def __init__(self, folder: Path, draw):
        super().__init__()
        self.folder, self.draw = folder, draw

    def on_epoch_end(self, epoch, logs=None):
        columns = self.draw(self.model) if np.isfinite(logs["loss"]) else ()
        if not columns:
            return
        self.folder.mkdir(exist_ok=True)
        rows = np.concatenate(columns, axis=2)
        picture = np.clip(np.rint(rows), 0, 255).reshape(-1, rows.shape[2], 3)
        path = self.folder / f"epoch-{epoch + 1:04d}.png"
        keras.utils.save_img(path, picture.astype(np.uint8), scale=False)


class LearningRate(keras.callbacks.Callback):
    """Puts the learning rate into the logs, for the callbacks after it."""

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def tensorboard(folder: Path) -> list:
    """The callback that logs for TensorBoard, in a list that is empty where it is not installed."""
    return [keras.callbacks.TensorBoard(folder)] if find_spec("tensorboard") else []
