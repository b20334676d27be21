"""Hides a colour image in another one of the same size, gets it back, and measures both."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow loads: less start-up chatter

from steglib.baselines import LSB
from steglib.classic import load_model
from steglib.data import ImageSet, load_images, load_pairs
from steglib.evaluation import evaluate, hide_and_reveal, summarise
from steglib.hider import Hider

__all__ = [
    "LSB",
    "Hider",
    "ImageSet",
    "evaluate",
    "hide_and_reveal",
    "load_images",
    "load_model",
    "load_pairs",
    "summarise",
]
