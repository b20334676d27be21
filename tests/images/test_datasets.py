import shutil

import numpy as np
import pytest
from PIL import Image

from steglib import load_images, paths
from steglib.images import datasets
from steglib.images.datasets import find_tiny_imagenet


def test_official_layout(home, tiny_imagenet):
    train = load_images(tiny_imagenet, "train")
    assert train.images.shape == (48, 64, 64, 3)
    assert train.images.dtype == np.uint8
    assert train.classes == ("n03", "n01", "n02")
    i = train.names.index("train/n01/images/n01_0.JPEG")
    assert train.class_name(i) == "tench"
    assert (train.images[i] == train.images[i][..., :1]).all()  # a greyscale file
    with Image.open(tiny_imagenet / train.names[7]) as picture:
        assert np.array_equal(train.images[7], picture)

    val = load_images(tiny_imagenet, "val")
    assert val.class_name(val.names.index("val/images/val_4.JPEG")) == "tench"
    test = load_images(tiny_imagenet, "test")
    assert len(test) == 12 and test.class_name(0) == "unknown"


def test_bundled_sample_has_no_photograph_in_both_splits():
    train, val = load_images("sample", "train"), load_images("sample", "val")
    assert len(train) > 200 and len(val) >= 96
    assert not set(train.labels) & set(val.labels)
    assert not {image.tobytes() for image in train.images} & {v.tobytes() for v in val.images}


def test_sample_stays_small():
    assert sum(f.stat().st_size for f in paths.sample_dir().rglob("*.*")) <= 4e6


@pytest.mark.parametrize("layout", ["deep-steganography-03", "notebooks/owner/slug"])
def test_runs_of_an_attached_kernel_are_found(home, tmp_path, monkeypatch, layout):
    assert paths.find_run("full") == paths.runs_dir() / "full"
    monkeypatch.setenv("STEGLIB_KAGGLE", str(tmp_path))
    attached = tmp_path / "input" / layout / "runs" / "full"
    attached.mkdir(parents=True)
    assert paths.find_run("full") == attached
    assert paths.find_run("mine") == paths.runs_dir() / "mine"


@pytest.mark.parametrize("layout", ["slug", "slug/tiny-imagenet-200", "datasets/owner/slug"])
def test_found_under_both_kaggle_mounts(home, tiny_imagenet, tmp_path, monkeypatch, layout):
    mounted = tmp_path / "kaggle" / "input" / layout
    shutil.copytree(tiny_imagenet, mounted)
    monkeypatch.setenv("STEGLIB_KAGGLE", str(tmp_path / "kaggle"))
    assert find_tiny_imagenet() == mounted
    monkeypatch.delenv("STEGLIB_HOME")
    assert paths.runs_dir() == tmp_path / "kaggle" / "working" / "runs"


def test_found_by_environment_variable(home, tiny_imagenet, monkeypatch):
    for folder in (tiny_imagenet, tiny_imagenet.parent):
        monkeypatch.setenv("STEGLIB_DATA", str(folder))
        assert find_tiny_imagenet() == tiny_imagenet
    assert len(load_images("tiny-imagenet", "val")) == 12
    assert len(load_images(tiny_imagenet.parent, "val")) == 12


def test_missing_dataset_lists_every_place(home, monkeypatch, tmp_path):
    monkeypatch.setenv("STEGLIB_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "kaggle" / "input" / "slug").mkdir(parents=True)
    monkeypatch.setenv("STEGLIB_KAGGLE", str(tmp_path / "kaggle"))
    with pytest.raises(FileNotFoundError) as error:
        load_images("tiny-imagenet")
    for part in ("elsewhere", "checkout/data", "kaggle/input/slug", "nikhilshingadiya", "STEGLIB_"):
        assert part in str(error.value)


def test_any_folder_of_pictures(home, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(20):
        folder = tmp_path / "photos" / ("cats" if i % 2 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (90, 120 + i, 3), np.uint8)).save(folder / f"{i}.png")
    train, val = (load_images(tmp_path / "photos", split, size=32) for split in ("train", "val"))
    assert train.images.shape == (18, 32, 32, 3) and len(val) == 2
    assert not set(train.names) & set(val.names)
    assert train.classes == ("cats", "dogs")
    flat = load_images(tmp_path / "photos" / "cats", "train", size=32)
    assert len(flat) == 9 and flat.class_name(0) == "unknown"


def test_a_folder_of_splits_has_those_only(home, tmp_path):
    folder = tmp_path / "train" / "cats" / "images"
    folder.mkdir(parents=True)
    for i in range(20):
        Image.new("RGB", (8, 8)).save(folder / f"{i}.png")
    train = load_images(tmp_path, "train", size=8)
    assert len(train) == 20 and train.names[0] == "train/cats/images/0.png"
    assert train.class_name(0) == "cats"
    with pytest.raises(FileNotFoundError, match="'val'"):
        load_images(tmp_path, "val")
    assert load_images(tmp_path / "train" / "cats", size=8).class_name(0) == "unknown"


def test_shrinking_filters_first(home, tmp_path):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    image = load_images(tmp_path, "train").images[0]
    assert image.min() >= 100 and image.max() <= 155  # grey: no moiré of black and white


def test_limit_is_spread_over_the_classes(home, tiny_imagenet):
    assert set(load_images(tiny_imagenet, "train", limit=6).labels) == {0, 1, 2}


@pytest.fixture
def damaged(home, tiny_imagenet, tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    shutil.copytree(tiny_imagenet, root)
    truncated = root / "train" / "n02" / "images" / "n02_3.JPEG"
    truncated.write_bytes(truncated.read_bytes()[:300])
    (root / "train" / "n03" / "images" / "n03_5.JPEG").write_text("no picture at all")
    (root / "val" / "images" / "val_2.JPEG").unlink()  # listed all the same
    return root


@pytest.mark.parametrize("name", ["n02_3.JPEG", "n03_5.JPEG"])
def test_damaged_file_is_named(damaged, name):
    for folder in ("n02", "n03"):
        if folder not in name:
            shutil.rmtree(damaged / "train" / folder)
    with pytest.raises(ValueError, match=name):
        load_images(damaged, "train")


def test_damaged_files_are_skipped_and_counted(damaged, capsys):
    for _ in range(2):  # decoded, then cached
        train = load_images(damaged, "train", on_error="skip")
        assert "Skipped 2 of 48" in capsys.readouterr().out
        assert len(train) == len(train.labels) == len(train.names) == 46
        assert "train/n02/images/n02_3.JPEG" not in train.names
        with Image.open(damaged / train.names[-1]) as picture:
            assert np.array_equal(train.images[-1], picture)


def test_many_damaged_files_are_named_in_part(home, tmp_path, capsys):
    for i in range(8):
        (tmp_path / f"bad{i}.png").write_bytes(b"none")
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    assert len(load_images(tmp_path, "train", on_error="skip")) == 1
    said = capsys.readouterr().out
    assert "Skipped 8 of 9 files" in said and "bad0.png, bad1.png" in said
    assert said.endswith(", and 3 more.\n") and "bad7" not in said
    with pytest.raises(ValueError, match="'skip' or 'stop'"):
        load_images(tmp_path, "train", on_error="raise")


def test_what_systems_leave_in_folders_is_passed_over(home, tmp_path):
    for name in ("a/IMG_1.jpg", "a/IMG_2.HEIC", "b/IMG_3.AVIF"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(tmp_path / name, "PNG")
    for name in ("a/._IMG_1.jpg", "__MACOSX/a/._IMG_1.jpg", "__MACOSX/x.jpg", ".thumbs/t.png",
                 "a/Thumbs.db", "a/.DS_Store", "b/desktop.ini", "notes.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    found = [path.relative_to(tmp_path).as_posix() for path in datasets.list_pictures(tmp_path)]
    assert found == ["a/IMG_1.jpg", "a/IMG_2.HEIC", "b/IMG_3.AVIF"]
    train = load_images(tmp_path, "train", size=8)
    assert train.names == tuple(found) and train.classes == ("a", "b")


def test_listed_but_missing_file(damaged, capsys):
    with pytest.raises(ValueError, match=r"val_2\.JPEG"):
        load_images(damaged, "val")
    assert len(load_images(damaged, "val", on_error="skip")) == 11
    assert "Skipped 1 of 12" in capsys.readouterr().out


def test_second_start_reads_the_cache_only(home, tiny_imagenet, monkeypatch):
    first = load_images(tiny_imagenet, "train").images
    monkeypatch.setattr(datasets, "_thumbnail", lambda *_: pytest.fail("decoded again"))
    second = load_images(tiny_imagenet, "train").images
    assert isinstance(second, np.memmap) and not second.flags.writeable
    assert np.array_equal(first, second)


def test_changed_file_is_read_again(home, tmp_path):
    for colour in ("blue", "red"):  # files of one size
        Image.new("RGB", (64, 64), colour).save(tmp_path / "photo.bmp")
        image = load_images(tmp_path, "train").images[0]
    assert image[0, 0].tolist() == [255, 0, 0]


def test_interrupted_decoding_leaves_no_cache(home, tiny_imagenet, monkeypatch):
    thumbnail = datasets._thumbnail

    def fails_at_the_end(path, size):
        if path.name == "val_11.JPEG":
            raise KeyboardInterrupt
        return thumbnail(path, size)

    monkeypatch.setattr(datasets, "_thumbnail", fails_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        load_images(tiny_imagenet, "val")
    assert not list(paths.cache_dir().iterdir())
    monkeypatch.setattr(datasets, "_thumbnail", thumbnail)
    assert load_images(tiny_imagenet, "val").images[11].any()
