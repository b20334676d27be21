"""What decides how a training of the classic model ends."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides how a run ends.

    Attributes:
        data: what `load_images` takes as `source`; its "train" split is used.
        images: at most that many training images, None for all.
        held_out: of these, how many are set apart to watch the training (never trained on).
        epochs: passes over the training images.
        batch_size: pairs in a step.
        learning_rate: the highest, reached after warm-up.
        schedule: "cosine" (warm-up, then cosine decay to zero) or "steps" (the original
            notebook's: factors 1, 0.3, 0.1, 0.03 from 0, 20, 40 and 60% of the training on).
        warmup: part of the training in which the cosine schedule climbs.
        loss: "log" (decibels of each image) or "mse", as in `losses`.
        beta: weight of the cover in the full loss.
        carried, strength: of the linear hiding to start from, see `classic.start_linear`.
        width, hidden, encoder_blocks, decoder_blocks: size of the networks.
        clip_norm: the gradient's norm is cut to this.
        ema: weights are averaged with this momentum; the averages are what is scored and kept.
        mixed_precision: convolutions in bfloat16 (float16 on a GPU without it); None decides
            by the processor: where bfloat16 is native, it halves the time.
        seed: of the weights, the held-out images, the pairs and their mirroring.
    """

    data: str = "sample"
    images: int | None = None
    held_out: int = 64
    epochs: int = 4
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: float = 0.05
    loss: str = "log"
    beta: float = 1.0
    carried: int = 80
    strength: float = 16.0
    width: int = 192
    hidden: int = 128
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    clip_norm: float = 1.0
    ema: float = 0.998
    mixed_precision: bool | None = None
    seed: int = 0


def load_config(run: Path) -> TrainingConfig:
    """The config of a run folder."""
    return TrainingConfig(**json.loads((Path(run) / "config.json").read_text()))
