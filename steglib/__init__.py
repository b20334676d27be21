"""Hides a colour image in another one of the same size, gets it back, and measures both."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow loads: less start-up chatter

from steglib.baselines import LSB, Codec
from steglib.data import ImageSet, load_images, load_pairs
from steglib.evaluation import evaluate, hide_and_reveal, summarise
from steglib.hider import Hider
from steglib.models import load_model
from steglib.payload import PayloadError

__all__ = [
    "LSB",
    "Codec",
    "Hider",
    "ImageSet",
    "PayloadError",
    "evaluate",
    "hide_and_reveal",
    "load_images",
    "load_model",
    "load_pairs",
    "summarise",
]
