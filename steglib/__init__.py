"""Hides a colour image in another one, gets it back, and measures both."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow loads: less start-up chatter

import lazy_loader

# Nothing is imported before it is used: a person who hides a photo need not wait for Keras.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules={"zoo"},
    submod_attrs={
        "channels.frame": ["PayloadError"],
        "evaluation.scores": ["evaluate", "hide_and_reveal", "summarise"],
        "hider": ["Hider"],
        "images": ["photos"],
        "images.datasets": ["ImageSet", "load_images"],
        "images.pairs": ["load_pairs"],
        "models.baselines": ["LSB", "PictureFile"],
        "zoo": ["load_model"],
    },
)
