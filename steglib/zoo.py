"""The trained hiders that come with the package, or out of a training."""

import json
from pathlib import Path

from steglib.codec.codec import Codec, reading
from steglib.hider import Hider
from steglib.models.coded import ResidueHider

WEIGHTS = Path(__file__).with_name("weights")


def load_model(name: str | Path = "residue", base: int | None = None, **options) -> Hider:
    """A trained hider.

    Args:
        name: "residue" (the default); "classic"; "classic-faint", with a fainter trace in the
            cover; or the path of a file that a training wrote: a `model.keras` (that hider has
            its run's name) or a codec's `.npz`.
        base: of the residue model's digits, 2…16, 5 if not given. It reveals any base.
        options: others of the residue model: `key`, `level`, see `residue.ResidueHider`.

    Raises:
        ValueError: there are no such weights (the message lists those that ship), their file is
            damaged, or there are options for a model that has none.
    """
    shipped = {path.stem: path for path in sorted(WEIGHTS.glob("*.[kn]*"))}  # .npz wins
    path = Path(name) if Path(name).suffix in (".keras", ".npz") else shipped.get(str(name))
    if path is None or not path.is_file():
        raise ValueError(f"There are no weights {str(name)!r}. Shipped: {', '.join(shipped)}.")
    if base is not None:
        options["base"] = base
    if path.suffix == ".npz":
        with reading(path):
            codec = Codec.load(path)
        return ResidueHider(codec, name=path.stem, **options)
    if options:
        raise ValueError(f"{name} has no base, no key, no protection: residue has.")
    from steglib.models import encoder_decoder  # only now: Keras takes seconds to load

    with reading(path):
        return encoder_decoder.load(path)


def load_card(name: str) -> dict:
    """What is known of shipped weights: data, command, seed, scores on held-out pairs."""
    return json.loads((WEIGHTS / f"{name}.json").read_text())
