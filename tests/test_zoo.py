import shutil
import zipfile

import pytest

from steglib import load_model
from steglib.channels.residues import PayloadError
from steglib.models.classic import ClassicHider
from steglib.models.coded import ResidueHider
from steglib.zoo import WEIGHTS


@pytest.mark.parametrize(
    "name", ["clasic", "", "residue,", "no/model.keras", "no.npz", "classic.json"]
)
def test_unknown_weights(name):
    with pytest.raises(ValueError, match=r"no weights.*Shipped: ") as error:
        load_model(name)
    shipped = str(error.value).split("Shipped: ")[1].rstrip(".").split(", ")
    assert sorted(shipped) == ["classic", "classic-faint", "residue"]


@pytest.mark.parametrize("suffix", [".keras", ".npz"])
@pytest.mark.parametrize("data", [b"", b"no model", b"PK\x03\x04" + bytes(99)])
def test_damaged_weights(tmp_path, suffix, data):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{path} holds no model that can be loaded"):
        load_model(path)


def test_damaged_restorer(tmp_path, pairs):
    """Its file is to blame, not the image; hiding does without it."""
    shutil.copy(WEIGHTS / "residue.npz", tmp_path / "model.npz")
    (tmp_path / "model.keras").write_bytes(b"no model")
    hider = load_model(tmp_path / "model.npz")
    stego = hider.hide(pairs[0][0], pairs[1][0])
    with pytest.raises(ValueError, match=r"model\.keras holds no model") as error:
        hider.reveal(stego)
    assert not isinstance(error.value, PayloadError)


@pytest.mark.parametrize("name", ["classic", "classic-faint"])
def test_classic_models(name):
    hider = load_model(name)
    assert isinstance(hider, ClassicHider) and hider.name == name
    assert load_model(WEIGHTS / f"{name}.keras").name == name
    with pytest.raises(ValueError, match=f"{name} has no base"):
        load_model(name, base=5)
    for option in ({"key": b"key"}, {"level": 1}):
        with pytest.raises(ValueError, match="no key, no protection: residue has"):
            load_model(name, **option)


def test_residue_model():
    hider = load_model("residue")
    assert isinstance(hider, ResidueHider) and hider.base == 5 and hider.name == "residue, base 5"
    assert load_model().name == hider.name  # as on the command line
    assert load_model("residue", 2).name == load_model("residue", base=2).name == "residue, base 2"
    assert load_model(str(WEIGHTS / "residue.npz"), base=16).name == "residue, base 16"
    assert load_model("residue").key is None and load_model("residue").level == 0
    hider = load_model("residue", base=3, key=b"key", level=2)
    assert (hider.base, hider.key, hider.level) == (3, b"key", 2)
    with pytest.raises(ValueError, match="level must lie in 0…3, not 4"):
        load_model("residue", level=4)
    with pytest.raises(TypeError, match="protect"):
        load_model("residue", protect=2)
    for base in (0, 1, 17):
        with pytest.raises(ValueError, match=f"2…16, not {base}"):
            load_model("residue", base=base)


def test_shipped_files_ask_nothing_of_newer_versions():
    """Older versions of Keras refuse options of random initializers that they do not know."""
    for path in WEIGHTS.glob("*.keras"):
        with zipfile.ZipFile(path) as file:
            config = file.read("config.json").decode()
        assert "GlorotUniform" not in config and "input_axes" not in config, path
