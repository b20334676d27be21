"""What a training has to be told: a config, and the recipe of a model."""

import functools
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from steglib.images.datasets import check_on_error, load_images
from steglib.images.pairs import split_images
from steglib.training.optimizers import learning_rates

SCHEDULES = ("cosine", "steps")


@dataclass(frozen=True)
class TrainingConfig:
    """What every training has.

    Attributes:
        data: what `load_images` takes as `source`; its "train" split is used.
        images: at most that many training images, None for all.
        on_error: "skip" leaves out files that do not decode and says which, "stop" stops.
        held_out: of these, how many are set apart to watch the training (never trained on).
        epochs: how often to watch, and to keep a checkpoint.
        batch_size: pairs or images in an update.
        learning_rate: the highest, reached after warm-up.
        schedule: "cosine" (warm-up, then cosine decay to zero) or "steps" (the original
            notebook's: factors 1, 0.3, 0.1, 0.03 from 0, 20, 40 and 60% of the training on).
        warmup: part of the training in which the cosine schedule climbs.
        clip_norm: the gradient's norm is cut to this.
        weight_decay: as in AdamW, 0 for none.
        ema: weights are averaged with this momentum; the averages are what is scored and kept.
            0 for no averaging.
        mixed_precision: convolutions in bfloat16 (float16 on a GPU without it); None decides
            by the processor: where bfloat16 is native, it halves the time.
        seed: of the weights, the held-out images, and all that is random in the batches.

    Raises:
        ValueError: there is no such schedule, or `on_error`.
    """

    data: str = "sample"
    images: int | None = None
    held_out: int = 64
    epochs: int = 4
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: float = 0.05
    clip_norm: float = 1.0
    weight_decay: float = 1e-4
    ema: float = 0.998
    mixed_precision: bool | None = None
    seed: int = 0
    on_error: str = "skip"

    def __post_init__(self):
        check_on_error(self.on_error)
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {SCHEDULES}, not {self.schedule!r}.")


class Recipe:
    """How to train a model. A subclass says what is its own; `training.run` does the rest.

    Args:
        config: an instance of `config_class`.
        images: uint8 [n, h, w, 3], all to be trained on. Without them, the config says which
            images there are, and how many of these are held out.

    Attributes:
        name: of the model, on the command line and in a run's `config.json`.
        config_class: a frozen dataclass; the command line has an option for each field.
        optimizer_class: takes the arguments of `keras.optimizers.AdamW`.
    """

    name: str
    config_class = TrainingConfig
    optimizer_class = keras.optimizers.AdamW

    def __init__(self, config, images=None):
        self.config = config
        if images is not None:
            self.images = images
            self.split = np.arange(len(images)), np.arange(0)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """uint8 [n, h, w, 3], those held out included."""
        config = self.config
        return load_images(
            config.data, "train", limit=config.images, on_error=config.on_error
        ).images

    @functools.cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the images to train on, and of those held out."""
        return split_images(self.images, self.config.held_out, self.config.seed)

    def build(self) -> keras.Model:
        """The model as training begins with it. Layers follow Keras's dtype policy."""
        raise NotImplementedError

    def batches(self, first_epoch: int = 0) -> keras.utils.PyDataset:
        """All batches from an epoch on, each decided by the seed and its number alone.

        Its `steps_per_epoch` is the number of updates in an epoch.
        """
        raise NotImplementedError

    def watched(self) -> tuple:
        """Inputs and targets, made of held-out images, on which the best weights are chosen."""
        raise NotImplementedError

    def loss(self) -> keras.losses.Loss:
        """A loss that gives one number for each example, whose mean counts."""
        raise NotImplementedError

    def metrics(self) -> list:
        """Functions as Keras takes them, to be logged beside the loss."""
        return []

    def optimizer(self, updates: int) -> keras.optimizers.Optimizer:
        """The optimizer of a training with `updates` updates in all."""
        return self.optimizer_class(
            learning_rates(self.config, updates),
            weight_decay=self.config.weight_decay,
            global_clipnorm=self.config.clip_norm,
            use_ema=self.config.ema > 0,
            ema_momentum=self.config.ema,
        )

    def pictures(self, model) -> tuple:
        """Columns of a sample picture, grey levels [n, h, w, 3] each; empty for no picture.

        Call the model: its `predict` would share the pictures out to the devices.
        """
        return ()

    def export(self, model, run: Path) -> None:
        """Writes a trained model, float32, into its run folder, as `load_model` reads it."""
        model.save(run / "model.keras")
