"""Makes a finished run the package's weights, with a card that says what they are."""

import json
import shlex
import shutil
from dataclasses import asdict, fields
from pathlib import Path

import keras

import steglib
from steglib import zoo
from steglib.training.run import load_config, load_history

# To score a hider with, if it takes them.
RATES, BASES = (1.0, 1.45, 2.0, 2.32, 3.0), (2, 3, 5, 8)


def ship(run: Path, pairs: int = 1000, note: str = "") -> Path:
    """Copies the model of a run, `model.*`, to the package's weights and writes its card there.

    Args:
        run: its folder; the weights get its name.
        pairs: of the val split, to score.
        note: what else the card should say.

    Returns:
        The card.

    Raises:
        ValueError: the run is not complete.
    """
    if not (run / "metrics.json").is_file():
        raise ValueError(f"The run {run} is not complete: resume it.")
    card = write_card(run, pairs, note)
    zoo.WEIGHTS.mkdir(exist_ok=True)
    for file in run.glob("model.*"):
        shutil.copy(file, zoo.WEIGHTS / f"{run.name}{file.suffix}")
    path = zoo.WEIGHTS / f"{run.name}.json"
    path.write_text(json.dumps(card, indent=1) + "\n")
    return path


def write_card(run: Path, pairs: int, note: str) -> dict:
    """All that is known of a finished run: data, command, seed, scores, curve."""
    model = json.loads((run / "config.json").read_text())["model"]
    config = load_config(run, zoo.load_recipe(model).config_class)
    begun, ended = ((run / f"{name}.json").stat().st_mtime for name in ("config", "metrics"))
    return {
        "name": run.name,
        "note": note,
        "command": f"python -m steglib train {model} --name {run.name} {_options(config)}".strip(),
        "seed": config.seed,
        "minutes, pauses included": round((ended - begun) / 60),
        "shipped with": f"Keras {keras.__version__} on {keras.backend.backend()}",
        "parameters": json.loads((run / "metrics.json").read_text())["parameters"],
        "data": f"{config.data}, split train; {config.held_out} of its images held out to watch",
        "scored on": f"{pairs} pairs of {config.data}, split val, after an 8-bit PNG file",
        "scores": _scores(zoo.find(model), run, config.data, pairs),
        "curve": load_history(run).round(4).to_dict("list"),
    }


def _options(config) -> str:
    """Of the command line: those that differ from what they are by default."""
    values, options = asdict(config), []
    for field in fields(config):
        name, value = field.name.replace("_", "-"), values[field.name]
        if value == field.default:
            continue
        if isinstance(value, bool):
            options.append(f"--{name}" if value else f"--no-{name}")
        else:
            options.append(f"--{name} {shlex.quote(str(value))}")
    return " ".join(options)


def _scores(entry, run, data, pairs) -> dict:
    """Mean scores; by name, if the hider takes a rate or base."""
    (weights,) = run.glob(f"model{entry.weights.suffix}")
    several = "rate" in entry.options
    settings = [{"rate": rate} for rate in RATES] + [{"base": base} for base in BASES]
    hiders = [steglib.load_model(weights, **setting) for setting in (settings if several else [{}])]
    val = steglib.load_images(data, "val").images
    scored = steglib.evaluate(hiders, *steglib.load_pairs(val, pairs, seed=0))
    scores = steglib.summarise(scored).round(4).to_dict("index")
    return scores if several else scores[hiders[0].name]
