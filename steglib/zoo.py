"""The registry: every hider by name. Commands, playground and notebooks all read it."""

import contextlib
import dataclasses
import functools
import json
import pkgutil
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from steglib.channels.seal import password
from steglib.hider import Hider

WEIGHTS = Path(__file__).with_name("weights")
SETTINGS = ("rate", "base", "bits", "quality")
ENOUGH = 50.0  # dB of a secret, for which a hider spends no more than it needs to
TITLES = {"level": "protection", "images": "training images"}  # others are called what they are


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a hider before it is loaded.

    Attributes:
        about: one line for help and the playground.
        load: makes the hider out of some of the `options`, and of `weights` where it has a file.
            What is slow to import, it imports when called.
        options: which of "rate", "base", "bits", "quality", "key", "level", "file", "price" and
            "images" it takes. One of the first four is its setting, if it comes first: `lsb:2`;
            of rate and base, a point tells: `residue:3.0` and `residue:3`.
        weights: the trained file, `.keras` or `.npz`; beside it lies its card, `.json`.
        scored: the settings that `evaluate` scores by default. Without a setting, it is scored.
        photos: whether it is offered to a person who hides photos.
        recipe: a subclass of `training.recipe.Recipe`, as "module:name" to import it from; None
            if there is nothing to train.
    """

    about: str
    load: Callable[..., Hider]
    options: tuple[str, ...] = ()
    weights: Path | None = None
    scored: tuple[float, ...] = ()
    photos: bool = True
    recipe: str | None = None

    @property
    def setting(self) -> str | None:
        """Its one number, "rate", "bits" or "quality", if it has one."""
        first = self.options[0] if self.options else None
        return first if first in SETTINGS else None


@contextlib.contextmanager
def _reading(path):
    """Makes one ValueError of all that may go wrong with a model's file."""
    try:
        yield
    except Exception as error:  # of any kind: zip, HDF5, JSON, a missing layer
        raise ValueError(f"{path} holds no model that can be loaded.") from error


def _residue(weights, **options):
    from steglib.channels.residues import ResidueChannel
    from steglib.codec.codec import Codec
    from steglib.models.coded import CodedHider

    with _reading(weights):
        codec = Codec.load(weights)
    enough = None if {"rate", "base"} & options.keys() else ENOUGH
    return CodedHider(codec, ResidueChannel(**options), _label(weights), enough)


def _jpeg_proof(weights, **options):
    from steglib.channels.jpeg import JpegChannel
    from steglib.codec.codec import Codec
    from steglib.models.baselines import PictureFile
    from steglib.models.coded import CodedHider

    with _reading(weights):
        codec = Codec.load(weights)
    return CodedHider((codec, PictureFile("avif")), JpegChannel(**options), "jpeg-proof")


def _quiet(weights, **options):
    from steglib.channels.quiet import QuietChannel
    from steglib.codec.codec import Codec
    from steglib.models.baselines import PictureFile
    from steglib.models.coded import CodedHider

    channel = QuietChannel(**options)
    with _reading(weights):
        codec = Codec.load(weights)
    return CodedHider((codec, PictureFile("avif")), channel, "quiet")


def _networks(weights):
    from steglib.models import encoder_decoder

    with _reading(weights):
        return encoder_decoder.load(weights, _label(weights))


def _label(weights):
    """`model.npz` and the like are named after their run."""
    return weights.parent.name if weights.stem == "model" else weights.stem


def _linear(images=None):
    from steglib.images.datasets import load_images
    from steglib.models.linear import linear_hider

    return linear_hider(load_images("sample").images if images is None else images)


def _lsb(bits=4):
    from steglib.models.baselines import LSB

    return LSB(bits)


def _picture_file(format, **options):
    from steglib.channels.residues import ResidueChannel
    from steglib.models.baselines import PictureFile
    from steglib.models.coded import CodedHider

    return CodedHider(PictureFile(format), ResidueChannel(**options))


MODELS: dict[str, Entry] = {
    "residue": Entry(
        "a learned codec, whose bytes samples say with their residues: faintest trace, best secret",
        _residue,
        ("rate", "base", "key", "level"),
        WEIGHTS / "residue.npz",
        scored=(1.45, 2.32),
        recipe="steglib.codec.learning:CodecRecipe",
    ),
    "jpeg-proof": Entry(
        "digits in the coefficients that JPEG rounds: every byte comes through JPEG files",
        functools.partial(_jpeg_proof, WEIGHTS / "residue.npz"),
        ("quality", "key", "level", "file", "price"),
    ),
    "quiet": Entry(
        "few bytes, where texture hides them from detectors; needs a key",
        functools.partial(_quiet, WEIGHTS / "residue.npz"),
        ("rate", "key"),
    ),
    "classic": Entry(
        "an encoder and a decoder, two networks around linear hiding",
        _networks,
        weights=WEIGHTS / "classic.keras",
        recipe="steglib.models.classic:ClassicRecipe",
    ),
    "plain": Entry(
        "an encoder and a decoder, two networks that learned from a random start",
        _networks,
        weights=WEIGHTS / "plain.keras",
        recipe="steglib.models.plain:PlainRecipe",
    ),
    "robust": Entry(
        "the plain networks, trained to get through JPEG, noise and blur: the secret only blurs",
        _networks,
        weights=WEIGHTS / "robust.keras",
        recipe="steglib.models.robust:RobustRecipe",
    ),
    "linear": Entry(
        "linear hiding: strong components of the secret in place of weak ones of the cover",
        _linear,
        ("images",),
        photos=False,
    ),
    "lsb": Entry(
        "the secret's highest bits in place of the cover's lowest",
        _lsb,
        ("bits",),
        scored=(1, 2, 3, 4),
        photos=False,
    ),
    **{
        format: Entry(
            f"the secret as a {format} file, whose bytes samples say with their residues",
            functools.partial(_picture_file, format),
            ("rate", "base"),
            photos=False,
        )
        for format in ("jpeg", "webp", "avif", "jpeg2000", *["jxl"] * bool(find_spec("pillow_jxl")))
    },
}


RECIPES = {"detector": "steglib.steganalysis.networks:DetectorRecipe"}  # of what is no hider


def register(name: str, entry: Entry) -> None:
    """Adds a hider. Raises ValueError if there is one of that name."""
    if name in MODELS:
        raise ValueError(f"There is a model {name!r} already.")
    MODELS[name] = entry


def find(name: str | Path) -> Entry:
    """The entry of that name; for a file that a training wrote, one that loads this file.

    Raises:
        ValueError: there is neither.
    """
    path = Path(name)
    if path.suffix and path.is_file():
        for entry in MODELS.values():
            if entry.weights and entry.weights.suffix == path.suffix:
                return dataclasses.replace(entry, weights=path)
    if str(name) not in MODELS:
        raise ValueError(
            f"There is no model {str(name)!r}. There are {', '.join(MODELS)}, and the files that "
            "a training wrote (.keras, .npz)."
        )
    return MODELS[str(name)]


def load_model(name: str | Path = "residue", **options) -> Hider:
    """A hider by its name, or out of a file.

    Args:
        name: a key of `MODELS`; or the path of a file that a training wrote: a `model.keras`
            (that hider has its run's name) or a codec's `.npz`.
        options: those of its entry, such as `rate` (bits a sample, up to 4) or `base` (2…16), `key`
            (bytes, or a pass phrase) and `level` (of error correction, 0…3) of "residue"; None
            leaves one to the hider. Without a rate or base, "residue" takes as little as makes
            about 50 dB.

    Raises:
        ValueError: there is no such model, it does not take an option or its value, or its file
            is damaged.
        TypeError: the key is neither bytes nor a text.
    """
    entry = find(name)
    options = {option: value for option, value in options.items() if value is not None}
    for option in options:
        if option not in entry.options:
            others = [other for other, found in MODELS.items() if option in found.options]
            which = f": {', '.join(others)} {'has' if len(others) == 1 else 'have'}" * bool(others)
            raise ValueError(f"{name} has no {TITLES.get(option, option)}{which}.")
    if "key" in options:
        options["key"] = password(options["key"])
    if entry.weights:
        options["weights"] = entry.weights
    return entry.load(**options)


def load_recipe(name: str) -> type:
    """The recipe by which a model is trained: a subclass of `training.recipe.Recipe`.

    Raises:
        ValueError: there is no such model, or it is not trained.
    """
    if (recipe := RECIPES.get(name) or find(name).recipe) is None:
        raise ValueError(f"{name} is not trained.")
    return pkgutil.resolve_name(recipe)


def trained() -> list[str]:
    """What `load_recipe` takes: hiders with a recipe, and what is no hider."""
    return [*(name for name, entry in MODELS.items() if entry.recipe), *RECIPES]


def parse(spec: str) -> tuple[str, dict[str, float]]:
    """Name and options in what is typed: "lsb:2" → "lsb", {"bits": 2}.

    Where there is a rate and a base, a point tells: "residue:1.45" → {"rate": 1.45}, "residue:3" →
    {"base": 3}.

    Raises:
        ValueError: there is no such model, or it has no setting.
    """
    name, setting = re.fullmatch(r"(.*?)(?::(\d+(?:\.\d+)?))?", spec, re.DOTALL).groups()
    entry = find(name)
    if setting is None:
        return name, {}
    if entry.setting is None:
        raise ValueError(f"{name} has no setting: leave out the :{setting}.")
    if "." in setting:
        return name, {entry.setting: float(setting)}
    return name, {"base" if entry.setting == "rate" else entry.setting: int(setting)}


def load_spec(spec: str, **options) -> Hider:
    """The hider that `parse` reads there, with other options; None leaves one as it is."""
    name, parsed = parse(spec)
    return load_model(name, **parsed | {k: v for k, v in options.items() if v is not None})


def absolute(spec: str) -> str:
    """The same, with the whole path if it names a file. Raises ValueError as `parse`."""
    path = Path(parse(spec)[0])
    return str(Path(spec).absolute()) if path.suffix and path.is_file() else spec


def scored() -> list[str]:
    """What is scored by default, as `parse` reads it."""
    return [
        name if setting is None else f"{name}:{setting}"
        for name, entry in MODELS.items()
        for setting in (entry.scored if entry.setting else (None,))
    ]


def load_card(name: str | Path) -> dict:
    """What is known of trained weights: data, command, seed, scores on held-out pairs.

    Raises:
        ValueError: there is no such model, or it has no weights.
    """
    weights = find(name).weights
    if weights is None:
        raise ValueError(f"{name} has no card, as it was not trained.")
    return json.loads(weights.with_suffix(".json").read_text())
