import dataclasses
import shutil
import zipfile

import numpy as np
import pytest

from steglib import load_images, load_model, zoo
from steglib.channels.frame import Layout
from steglib.hider import Hider
from steglib.zoo import MODELS, WEIGHTS, Entry, load_card, load_spec, parse, register


@pytest.fixture
def registry(monkeypatch):
    """A copy of the registry."""
    monkeypatch.setattr(zoo, "MODELS", dict(MODELS))
    return zoo.MODELS


@pytest.mark.parametrize(
    "name", ["clasic", "", "residue,", "residue:x", "no/model.keras", "no.npz", "classic.json"]
)
def test_unknown_models(name):
    for load in (load_model, load_spec):
        with pytest.raises(ValueError, match="There is no model") as error:
            load(name)
        assert f"{name!r}. There are {', '.join(MODELS)}, and" in str(error.value)


def test_every_entry_says_what_it_loads():
    for name, entry in MODELS.items():
        assert entry.about and "\n" not in entry.about and len(entry.about) < 90, name
        assert bool(entry.scored) <= bool(entry.setting), name
        if entry.weights:
            assert entry.weights.is_file() and load_card(name)["name"] == name
    with pytest.raises(ValueError, match="lsb has no card"):
        load_card("lsb")


def test_every_recipe_is_found_by_name():
    assert zoo.trained() == ["residue", "classic", "plain", "robust", "detector"]
    assert [zoo.load_recipe(name).name for name in zoo.trained()] == zoo.trained()
    for name, message in (("lsb", "lsb is not trained"), ("seer", "no model 'seer'")):
        with pytest.raises(ValueError, match=message):
            zoo.load_recipe(name)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("classic", {"base": 5}, "classic has no base: residue, jpeg, webp, avif, jpeg2000 have"),
        ("classic", {"key": b"key"}, "classic has no key: residue, jpeg-proof"),
        ("lsb", {"level": 1}, "lsb has no protection: residue, jpeg-proof have"),
        ("residue", {"bits": 1}, "residue has no bits: lsb has"),
        ("residue", {"protect": 2}, r"residue has no protect\."),
        ("residue", {"level": 4}, "level must lie in 0…3, not 4"),
        ("jpeg-proof", {"quality": 60}, r"quality must be one of \(50, 75, 85\), not 60"),
        ("jpeg-proof", {"base": 3}, "jpeg-proof has no base"),
        *(("residue", {"base": base}, f"2…16, not {base}") for base in (0, 1, 17)),
        *(("residue", {"rate": rate}, f"rate must .*, not {rate}") for rate in (0, -1.0, 4.5)),
        ("residue", {"rate": 1.0, "base": 3}, r"a base, for plain digits, or a rate.*: not both"),
        ("jpeg-proof", {"rate": 1.0}, "jpeg-proof has no rate"),
    ],
)
def test_options_that_a_model_does_not_take(name, options, message):
    with pytest.raises(ValueError, match=message):
        load_model(name, **options)


def test_options_reach_the_hider():
    assert load_model().name == load_model("residue").name == "residue, 50 dB"
    assert load_model(str(WEIGHTS / "residue.npz"), base=16).name == "residue, base 16"
    assert load_model("residue").key is None and load_model("residue", base=3).enough is None
    hider = load_model("residue", base=3, key=b"key", level=2)
    assert hider.key == b"key" and hider.enough is None
    cover = np.full((60, 60, 3), 99, np.uint8)
    found = hider.channel.read(hider.channel.write(cover, b"data"))
    assert found.layout == Layout(3, True, 2)
    unset = load_model("residue", base=None, rate=None, key=None, level=None)
    assert unset.name == "residue, 50 dB" and unset.enough == zoo.ENOUGH
    hider = load_model("residue", rate=1.45)
    assert hider.name == "residue, 1.45 bits a sample" and hider.enough is None
    assert hider.channel.capacity((64, 64, 3)) == int((64 * 64 * 3 - 128) * 1.45 / 8)
    assert load_model("residue", level=1).enough == zoo.ENOUGH
    assert load_model("lsb", bits=1).name == "LSB, 1 bit"
    assert load_model("avif", base=3).name == "AVIF, base 3"
    assert load_model("avif", rate=3).name == "AVIF, 3 bits a sample"
    assert load_spec("jpeg-proof:85").name == "jpeg-proof, JPEG 85"
    assert load_model("jpeg-proof", level=2, key=b"key").channel.layout == Layout(2, True, 2, 75)


def test_specs():
    assert parse("residue:3") == ("residue", {"base": 3})
    assert parse("residue:3.0") == ("residue", {"rate": 3.0})
    assert parse("residue:1.45") == ("residue", {"rate": 1.45})
    assert parse("lsb:2") == ("lsb", {"bits": 2})
    assert parse("classic") == ("classic", {})
    path = str(WEIGHTS / "residue.npz")
    assert parse(f"{path}:3") == (path, {"base": 3}) and parse(path) == (path, {})
    assert parse(f"{path}:1.45") == (path, {"rate": 1.45})
    assert load_spec("residue:3", level=2, key=None).channel.capacity((26, 26, 3)) == 0
    assert load_spec("residue:1.45", rate=None).name == "residue, 1.45 bits a sample"
    assert load_spec("residue:1.45", rate=2.0).name == "residue, 2 bits a sample"
    assert load_spec("residue:3", base=None).name == "residue, base 3"
    assert load_spec("residue:3", base=4).name == "residue, base 4"
    with pytest.raises(ValueError, match="classic has no setting: leave out the :3"):
        parse("classic:3")
    for wrong in ("lsb:2.5", "jpeg-proof:75.5", "residue:17", "residue:4.5"):
        with pytest.raises(ValueError, match="must"):
            load_spec(wrong)
    for wrong in ("residue:", "residue:.", "residue:1.4.5", "residue:.5", "lsb:2."):
        with pytest.raises(ValueError, match="There is no model"):
            parse(wrong)


def test_what_is_scored():
    names = ["residue:1.45", "residue:2.32", "classic", "plain", "robust", "linear"]
    assert zoo.scored() == names + [f"lsb:{bits}" for bits in (1, 2, 3, 4)]


def test_linear_hiding_takes_its_images(pairs):
    covers, secrets = pairs
    images = load_images("sample").images
    usual, own = load_model("linear"), load_model("linear", images=images)
    other = load_model("linear", images=255 - images[:20])
    assert np.array_equal(usual.hide(covers, secrets), own.hide(covers, secrets))
    assert not np.array_equal(usual.hide(covers, secrets), other.hide(covers, secrets))


def test_names_are_taken_once(registry):
    register("toy", Entry("nothing", Hider))
    assert isinstance(load_model("toy"), Hider) and zoo.scored()[-1] == "toy"
    for name in ("toy", "residue"):
        with pytest.raises(ValueError, match=f"There is a model {name!r} already"):
            register(name, Entry("nothing", Hider))
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry["toy"].about = "something"


@pytest.mark.parametrize("suffix", [".keras", ".npz"])
@pytest.mark.parametrize("data", [b"", b"no model", b"PK\x03\x04" + bytes(99)])
def test_damaged_weights(tmp_path, suffix, data):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{path} holds no model that can be loaded"):
        load_model(path)


def test_trained_files(tmp_path):
    """They are named after their run where the file is `model.keras`."""
    assert load_model("classic").name == load_model(WEIGHTS / "classic.keras").name == "classic"
    run = tmp_path / "mine"
    run.mkdir()
    for file, name in (("model.keras", "mine"), ("best.keras", "best")):
        shutil.copy(WEIGHTS / "classic.keras", run / file)
        assert load_model(run / file).name == name
    with pytest.raises(ValueError, match=r"best\.keras has no base"):
        load_model(run / "best.keras", base=5)


def test_shipped_files_ask_nothing_of_newer_versions():
    """Older versions of Keras refuse options of random initializers that they do not know."""
    for path in WEIGHTS.glob("*.keras"):
        with zipfile.ZipFile(path) as file:
            config = file.read("config.json").decode()
        assert "GlorotUniform" not in config and "input_axes" not in config, path
