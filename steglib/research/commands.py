"""The commands of those who study: evaluate, benchmark, train, train-codec, ship."""

import argparse
import contextlib
import json
import shlex
import shutil
from dataclasses import asdict, fields
from pathlib import Path
from types import NoneType
from typing import get_args

import numpy as np

import steglib
from steglib import paths, zoo
from steglib.training.config import TrainingConfig, load_config
from steglib.zoo import WEIGHTS, load_model


def add_commands(commands) -> None:
    """Adds them to the subparsers of `argparse`. Keras is loaded when one of them runs."""
    for add in (_add_evaluate, _add_benchmark, _add_train, _add_train_codec, _add_ship):
        add(commands)


def _add_evaluate(commands):
    parser = commands.add_parser("evaluate", help="score models and baselines on held-out pairs")
    parser.add_argument(
        "models",
        nargs="*",
        help=f"{', '.join(zoo.MODELS)}, with a base or bits if you like (residue:3, lsb:2), or "
        "files that a training wrote; default: all trained ones. The untrained are always scored",
    )
    parser.add_argument("--data", default="sample", help="sample, tiny-imagenet or a folder")
    parser.add_argument("--pairs", type=int, default=48, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the pairs (default: %(default)s)")
    parser.add_argument("--csv", type=Path, help="also write the scores of every pair there")
    parser.set_defaults(run=_evaluate)


def _evaluate(options):
    images = steglib.load_images(options.data, "val").images
    covers, secrets = steglib.load_pairs(images, options.pairs, options.seed)
    specs = zoo.scored()
    if options.models:
        untrained = [spec for spec in specs if zoo.find(zoo.parse(spec)[0]).weights is None]
        specs = dict.fromkeys([*options.models, *untrained])
    hiders = []
    for spec in specs:
        with contextlib.suppress(FileNotFoundError):  # a folder may have no training images
            hiders.append(zoo.load_spec(spec, **_training_images(spec, options.data)))
    scores = steglib.evaluate(hiders, covers, secrets)
    print(f"{len(covers)} held-out pairs of {options.data}, after an 8-bit PNG file:\n")
    print(steglib.summarise(scores).round(3).to_string())
    if options.csv:
        scores.to_csv(options.csv, index=False)


def _training_images(spec, data):
    """Options for a hider that is made out of some."""
    if "images" not in zoo.find(zoo.parse(spec)[0]).options:
        return {}
    return {"images": steglib.load_images(data, "train", limit=4000).images}


def _add_benchmark(commands):
    parser = commands.add_parser("benchmark", help="measure how fast models hide and reveal")
    parser.add_argument(
        "--images", type=int, default=64, help="in one call, of 64×64 pixels (default: %(default)s)"
    )
    parser.add_argument(
        "--large", action="store_true", help="also one picture of 12 megapixels: minutes"
    )
    parser.add_argument(
        "--photographs", action="store_true", help="instead score full-size photographs"
    )
    parser.add_argument(
        "--codecs", action="store_true", help="instead compare codecs on them: most of an hour"
    )
    parser.add_argument(
        "--damage", action="store_true", help="instead find what error correction mends: minutes"
    )
    parser.add_argument(
        "--learn", type=float, metavar="MINUTES", help="instead train each model from scratch"
    )
    parser.add_argument("--data", default="sample", help="to learn from (default: %(default)s)")
    parser.add_argument("--csv", type=Path, help="write what was learned there, and a plot beside")
    parser.set_defaults(run=_benchmark)


def _benchmark(options):
    from steglib.research import benchmark

    if options.learn:
        return _benchmark_learning(options)
    if options.photographs:
        hiders = [load_model("residue"), load_model("classic")]
        print(benchmark.score_photographs(hiders).round(2).to_string())
        return
    if options.damage:
        print(benchmark.survived_damage().round(2).to_string())
        return
    if options.codecs:
        print(benchmark.full_size((2, 3, 5)).round(2).to_string())
        return
    covers, secrets = steglib.load_pairs(
        steglib.load_images("sample", "val").images, options.images
    )
    print(benchmark.machine())
    print(f"\nImages of 64×64 pixels a second, {len(covers)} in a call:\n")
    hiders = [load() for load in benchmark.MODELS.values()]
    print(benchmark.throughput(hiders, covers, secrets).round(1).to_string())
    if options.large:
        height, width = benchmark.LARGE
        print(f"\nOne picture of {width}×{height} pixels, megapixels a second and peak memory:\n")
        print(benchmark.throughput_large().round(2).to_string())


def _benchmark_learning(options):
    from steglib.evaluation import charts as plotting
    from steglib.research import benchmark

    images = steglib.load_images(options.data, "train").images
    watch = steglib.load_pairs(steglib.load_images(options.data, "val").images, 48, seed=0)
    minutes = options.learn * np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1])
    learned = benchmark.learning_curves(images, minutes, watch)
    print(f"{benchmark.machine()}\n\n{learned.round(2).to_string(index=False)}")
    if options.csv:
        learned.to_csv(options.csv, index=False)
        plotting.use_style()
        figure = plotting.quality_over_minutes(learned)
        figure.savefig(options.csv.with_suffix(".png"), bbox_inches="tight")


def _add_train(commands):
    parser = commands.add_parser(
        "train",
        help="train the classic model",
        epilog=TrainingConfig.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", required=True, help="of the run folder")
    parser.add_argument(
        "--resume", action="store_true", help="go on with a run, with the config it began with"
    )
    for field in fields(TrainingConfig):
        _add_option(parser, field)
    parser.set_defaults(run=_train)


def _add_option(parser, field):
    """The option that sets one field of `TrainingConfig`; None where it is not given."""
    kind = next((t for t in get_args(field.type) if t is not NoneType), field.type)
    action = {"action": argparse.BooleanOptionalAction} if kind is bool else {"type": kind}
    name = "--" + field.name.replace("_", "-")
    parser.add_argument(name, default=None, help=f"default: {field.default}", **action)


def _train(options):
    from steglib.training import run as training

    names = [field.name for field in fields(TrainingConfig)]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    run = paths.runs_dir() / options.name
    if options.resume and not given and (run / "config.json").is_file():
        config = load_config(run)
    else:
        config = TrainingConfig(**given)
    print(training.train(config, options.name, resume=options.resume))


def _add_ship(commands):
    parser = commands.add_parser("ship", help="make a finished run the package's weights")
    parser.add_argument("name", help="of the run; its weights ship under that name")
    parser.add_argument("--pairs", type=int, default=1000, help="to score (default: %(default)s)")
    parser.add_argument("--note", default="", help="what else the card should say")
    parser.set_defaults(run=_ship)


def _ship(options):
    """Copies `model.keras` and writes its card: data, command, seed, curve, scores."""
    from steglib.training import run as training

    run = paths.runs_dir() / options.name
    config, history = load_config(run), training.load_history(run)
    model = load_model(run / "model.keras")
    covers, secrets = steglib.load_pairs(
        steglib.load_images(config.data, "val").images, options.pairs, seed=0
    )
    scores = steglib.summarise(steglib.evaluate([model], covers, secrets)).iloc[0]
    changed = {
        field.name: value
        for field, value in zip(fields(config), asdict(config).values(), strict=True)
        if value != field.default
    }
    arguments = " ".join(_as_option(name, value) for name, value in changed.items())
    files = [run / name for name in ("config.json", "metrics.json")]
    begun, ended = (file.stat().st_mtime for file in files)
    card = {
        "name": options.name,
        "note": options.note,
        "command": f"python -m steglib train --name {options.name} {arguments}",
        "seed": config.seed,
        "minutes, pauses included": round((ended - begun) / 60),
        "shipped with": _keras(),
        "parameters": model.encoder.count_params() + model.decoder.count_params(),
        "data": f"{config.data}, split train; {config.held_out} of its images held out to watch",
        "scored on": f"{len(covers)} pairs of {config.data}, split val, after an 8-bit PNG file",
        "scores": scores.round(4).to_dict(),
        "curve": history.round(4).to_dict("list"),
    }
    WEIGHTS.mkdir(exist_ok=True)
    shutil.copy(run / "model.keras", WEIGHTS / f"{options.name}.keras")
    (WEIGHTS / f"{options.name}.json").write_text(json.dumps(card, indent=1) + "\n")


def _add_train_codec(commands):
    parser = commands.add_parser("train-codec", help="train the residue model's codec")
    parser.add_argument("-o", "--output", type=Path, required=True, help="an .npz file")
    parser.add_argument("--data", default="sample", help="sample, tiny-imagenet or a folder")
    parser.add_argument("--context-steps", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--restorer-steps", type=int, default=3000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--pairs", type=int, default=1000, help="to score (default: %(default)s)")
    parser.set_defaults(run=_train_codec)


def _train_codec(options):
    """Writes a codec and its card: command, seed, scores at several bases."""
    from steglib.codec import learning as codec_training

    path = options.output
    if path.suffix != ".npz":
        raise ValueError(f"{path} must end in .npz.")
    path.parent.mkdir(parents=True, exist_ok=True)  # before the long part
    steps = options.context_steps, options.restorer_steps
    images = steglib.load_images(options.data, "train").images
    codec_training.learn_codec(images, *steps, seed=options.seed, verbose=1).save(path)

    hiders = [load_model(path, base=base) for base in (2, 3, 4, 5, 8)]
    pairs = steglib.load_pairs(
        steglib.load_images(options.data, "val").images, options.pairs, seed=0
    )
    given = {"data": options.data, "context-steps": steps[0], "restorer-steps": steps[1]}
    arguments = " ".join(_as_option(*item) for item in (given | {"seed": options.seed}).items())
    card = {
        "name": path.stem,
        "note": f"trained with {_keras()}",
        "command": f"python -m steglib train-codec {arguments} -o {path.name}",
        "seed": options.seed,
        "parameters": hiders[0].codec.count_parameters(),
        "data": f"{options.data}, split train",
        "scored on": f"{options.pairs} pairs of {options.data}, split val, after an 8-bit PNG file",
        "scores": steglib.summarise(steglib.evaluate(hiders, *pairs)).round(4).to_dict("index"),
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def _keras():
    import keras

    return f"Keras {keras.__version__} on {keras.backend.backend()}"


def _as_option(name, value):
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {shlex.quote(str(value))}"
