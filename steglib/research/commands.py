"""The commands of those who study: evaluate, benchmark, train, ship, design."""

import argparse
import contextlib
import functools
import inspect
import itertools
import secrets
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import NamedTuple, get_args

import numpy as np

import steglib
from steglib import paths, workers, zoo

DATASETS = "sample", "tiny-imagenet"


def add_commands(commands) -> None:
    """Adds them to the subparsers of `argparse`. Keras is loaded when one of them runs."""
    for add in (_add_evaluate, _add_benchmark, _add_train, _add_ship, _add_design):
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
    parser.add_argument(
        "--on-error",
        choices=["skip", "stop"],
        default="skip",
        help="what a file that does not decode does: it is left out and named, or ends the command "
        "(default: %(default)s)",
    )
    parser.add_argument("--csv", type=Path, help="also write the scores of every pair there")
    parser.add_argument(
        "--damage",
        nargs="+",
        metavar="LINE",
        help="score the secrets after this happened to the files: png, jpeg:75, noise:4, …, as in "
        "images/damage.py; these come last on the command line",
    )
    parser.add_argument("--cluster", metavar="ADDRESS", help=workers.CLUSTER)
    parser.set_defaults(run=_evaluate)


def _evaluate(options):
    from steglib.evaluation.scores import summarise_damage

    images = steglib.load_images(options.data, "val", on_error=options.on_error).images
    covers, hidden = steglib.load_pairs(images, options.pairs, options.seed)
    specs = zoo.scored()
    if options.models:
        untrained = [spec for spec in specs if zoo.find(zoo.parse(spec)[0]).weights is None]
        specs = dict.fromkeys([*options.models, *untrained])
    folder = Path(options.data).absolute() if Path(options.data).is_dir() else None
    data = options.data if options.data in DATASETS else str(folder)
    hiders, run, command = [], itertools.starmap, secrets.token_hex(8)
    for spec in map(zoo.absolute, specs):
        recalled = command, spec, data, options.on_error
        with contextlib.suppress(FileNotFoundError):  # a folder may have no training images
            hider = _load_once(*recalled)
            hiders.append(_Elsewhere(hider.name, recalled) if options.cluster else hider)
    if options.cluster:
        places = {"prepare": workers.be_modest, "cluster": options.cluster, "folder": folder}
        run = functools.partial(workers.results, **places)
    scores = steglib.evaluate(hiders, covers, hidden, damage=options.damage, run=run)
    print(f"{len(covers)} held-out pairs of {options.data}, after an 8-bit PNG file:\n")
    if options.damage:
        print(f"Secret PSNR after damage:\n\n{summarise_damage(scores).round(2).to_string()}")
    else:
        print(steglib.summarise(scores).round(3).to_string())
    if options.csv:
        scores.to_csv(options.csv, index=False)


@functools.lru_cache(16)  # about as many as are scored by default
def _load_once(command, spec, data, on_error):
    """In each process, once for each command: files may be others for the next one."""
    if "images" not in zoo.find(zoo.parse(spec)[0]).options:
        return zoo.load_spec(spec)
    images = steglib.load_images(data, "train", limit=4000, on_error=on_error).images
    return zoo.load_spec(spec, images=images)


class _Elsewhere(NamedTuple):
    """A hider that is loaded where it is used: it pickles as what it is called."""

    name: str
    recalled: tuple

    def hide(self, cover, secret):
        return _load_once(*self.recalled).hide(cover, secret)

    def reveal(self, stego):
        return _load_once(*self.recalled).reveal(stego)


def _add_benchmark(commands):
    parser = commands.add_parser("benchmark", help="measure how fast models hide and reveal")
    parser.add_argument(
        "--images", type=int, default=64, help="in one call, of 64×64 pixels (default: %(default)s)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--large", action="store_true", help="also one picture of 12 megapixels: minutes"
    )
    what.add_argument(
        "--photographs", action="store_true", help="instead score full-size photographs"
    )
    what.add_argument(
        "--codecs",
        action="store_true",
        help="instead compare codecs on them, or on those of --data: most of an hour",
    )
    what.add_argument(
        "--rates", action="store_true", help="instead fill a cover of 12 megapixels: minutes"
    )
    what.add_argument(
        "--damage", action="store_true", help="instead find what error correction mends: minutes"
    )
    what.add_argument(
        "--survive",
        type=int,
        metavar="QUALITY",
        help="instead hide the photographs of --data so that they come through JPEG: many minutes",
    )
    what.add_argument(
        "--detect",
        action="store_true",
        help="instead find out who sees what is hidden in the photographs of --data: an hour",
    )
    parser.add_argument(
        "--elsewhere",
        metavar="FOLDER",
        help="with --detect: instead test a detector on the photographs of this folder, too",
    )
    parser.add_argument(
        "--price",
        type=float,
        nargs="+",
        help="with --survive: of a change of the cover, one or several; default: as shipped",
    )
    what.add_argument(
        "--learn", type=float, metavar="MINUTES", help="instead train each model from scratch"
    )
    what.add_argument(
        "--pipeline", action="store_true", help="instead time batches alone and in trainings"
    )
    parser.add_argument(
        "--data",
        default="sample",
        help="to learn from, or a folder of photographs (default: %(default)s)",
    )
    parser.add_argument(
        "--csv",
        type=Path,
        help="write what was learned, or what --survive found, there, and a plot beside",
    )
    parser.set_defaults(run=_benchmark)


def _benchmark(options):
    from steglib.evaluation import charts, pictures
    from steglib.research import payload, photographs, survival

    pictures.use_style()
    if options.learn:
        return _benchmark_learning(options)
    if options.photographs:
        trained = [name for name, entry in zoo.MODELS.items() if entry.weights]
        table = photographs.score_photographs([zoo.load_model(name) for name in trained])
    elif options.rates:
        table = payload.payloads()
    elif options.damage:
        table = survival.survived_damage()
    elif options.survive:
        photos = photographs.in_folder(options.data)
        table = survival.over_prices(photos, options.survive, options.price or [None])
        if options.csv:
            _keep(table, options.csv, charts.cover_and_secret(table))
    elif options.detect:
        table = _detect(options)
    elif options.codecs:
        own = options.data == "sample"
        pictures = photographs.photographs() if own else photographs.in_folder(options.data)
        table = photographs.full_size(pictures, (1.0, 1.45, 2.0, 2.32))
    elif options.pipeline:
        from steglib.research import speed

        print(speed.machine())
        table = speed.pipeline(steglib.load_images(options.data, "train").images)
    else:
        return _benchmark_speed(options)
    print(table.round(2).to_string())


def _detect(options):
    from steglib.research import photographs, red_team

    photos = list(photographs.in_folder(options.data).values())
    if options.elsewhere is None:
        return red_team.red_team(photos)
    return red_team.elsewhere(photos, list(photographs.in_folder(options.elsewhere).values()))


def _benchmark_speed(options):
    from steglib.research import speed

    names, images = speed.models(), steglib.load_images("sample", "val").images
    covers, secrets = steglib.load_pairs(images, options.images)
    print(speed.machine())
    print(f"\nImages of 64×64 pixels a second, {len(covers)} in a call:\n")
    hiders = [speed.load(name) for name in names]
    print(speed.throughput(hiders, covers, secrets).round(1).to_string())
    if options.large:
        height, width = speed.LARGE
        print(f"\nOne picture of {width}×{height} pixels, megapixels a second and peak memory:\n")
        print(speed.throughput_large(names).round(2).to_string())


def _benchmark_learning(options):
    from steglib.evaluation import charts
    from steglib.research import race, speed

    images = steglib.load_images(options.data, "train").images
    watch = steglib.load_pairs(steglib.load_images(options.data, "val").images, 48, seed=0)
    minutes = options.learn * np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1])
    learned = race.learning_curves(images, minutes, watch)
    print(f"{speed.machine()}\n\n{learned.round(2).to_string(index=False)}")
    if options.csv:
        _keep(learned, options.csv, charts.quality_over_minutes(learned))


def _keep(table, path, figure):
    """Writes a table to a CSV file, and a figure of it beside that."""
    table.to_csv(path, index=table.index.name is not None)
    figure.savefig(path.with_suffix(".png"), bbox_inches="tight")


TRAIN = """Train a model into a folder of its own, or go on with a training that was stopped.

  steglib train classic --help
  steglib train classic --name mine --data tiny-imagenet --epochs 36
  steglib train classic --name mine --resume
  steglib train detector --name seer --photographs folder --rate 0.4
"""


def _add_train(commands):
    parser = commands.add_parser(
        "train",
        help="train a model",
        description=TRAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", choices=zoo.trained())
    # Which options there are, the model's config says: not imported before one is trained.
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="--name NAME [OPTIONS]")
    parser.set_defaults(run=_train)


def _train(options):
    from steglib.training.run import load_config, train

    recipe = zoo.load_recipe(options.model)
    parser = _training_parser(options.model, recipe.config_class)
    given = vars(parser.parse_args(options.arguments))
    name, resume = given.pop("name"), given.pop("resume")
    run = paths.runs_dir() / name
    if resume and not given and (run / "config.json").is_file():
        config = load_config(run, recipe.config_class)
    else:
        config = recipe.config_class(**given)
    print(train(recipe(config), name, resume=resume))


def _training_parser(model, config_class):
    """For the options of one model: those of its config are absent where they are not given."""
    documented = [kind for kind in reversed(config_class.__mro__) if is_dataclass(kind)]
    parser = argparse.ArgumentParser(
        prog=f"steglib train {model}",
        epilog="\n\n".join(inspect.cleandoc(kind.__doc__) for kind in documented),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--name", required=True, help="of the run folder")
    parser.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="go on with a run, with the config it began with",
    )
    for field in fields(config_class):
        kind = next((t for t in get_args(field.type) if t is not NoneType), field.type)
        action = {"action": argparse.BooleanOptionalAction} if kind is bool else {"type": kind}
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, help=f"default: {field.default}", **action)
    return parser


def _add_ship(commands):
    parser = commands.add_parser("ship", help="make a finished run the package's weights")
    parser.add_argument("name", help="of the run; its weights ship under that name")
    parser.add_argument("--pairs", type=int, default=1000, help="to score (default: %(default)s)")
    parser.add_argument("--note", default="", help="what else the card should say")
    parser.set_defaults(run=_ship)


def _ship(options):
    from steglib.research import cards

    print(cards.ship(paths.runs_dir() / options.name, options.pairs, options.note))


def _add_design(commands):
    parser = commands.add_parser(
        "design", help="find out from photographs how bits best come through JPEG, and ship it"
    )
    parser.add_argument("folder", type=Path, help="of photographs that never were JPEG files")
    parser.add_argument("--quality", type=int, required=True, help="the least to come through")
    parser.add_argument("--price", type=float, help="of a change of the cover; default: as shipped")
    parser.set_defaults(run=_design)


def _design(options):
    from steglib.research import jpeg_design

    print(jpeg_design.ship_design(options.folder, options.quality, options.price))
