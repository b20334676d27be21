import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from steglib import load_images, load_pairs, paths
from steglib.images import datasets as data
from steglib.images.datasets import PairBatches, draw_pairs, find_tiny_imagenet, split_images


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


def test_listed_but_missing_file(damaged, capsys):
    with pytest.raises(ValueError, match=r"val_2\.JPEG"):
        load_images(damaged, "val")
    assert len(load_images(damaged, "val", on_error="skip")) == 11
    assert "Skipped 1 of 12" in capsys.readouterr().out


def test_second_start_reads_the_cache_only(home, tiny_imagenet, monkeypatch):
    first = load_images(tiny_imagenet, "train").images
    monkeypatch.setattr(data, "_decode", lambda *_: pytest.fail("decoded again"))
    second = load_images(tiny_imagenet, "train").images
    assert isinstance(second, np.memmap) and not second.flags.writeable
    assert np.array_equal(first, second)


def test_changed_file_is_read_again(home, tmp_path):
    for colour in ("blue", "red"):  # files of one size
        Image.new("RGB", (64, 64), colour).save(tmp_path / "photo.bmp")
        image = load_images(tmp_path, "train").images[0]
    assert image[0, 0].tolist() == [255, 0, 0]


def test_interrupted_decoding_leaves_no_cache(home, tiny_imagenet, monkeypatch):
    decode = data._decode

    def fails_at_the_end(path, size):
        if path.name == "val_11.JPEG":
            raise KeyboardInterrupt
        return decode(path, size)

    monkeypatch.setattr(data, "_decode", fails_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        load_images(tiny_imagenet, "val")
    assert not list(paths.cache_dir().iterdir())
    monkeypatch.setattr(data, "_decode", decode)
    assert load_images(tiny_imagenet, "val").images[11].any()


@given(st.integers(2, 60), st.integers(0, 200), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_pairs(n_images, n_pairs, seed):
    drawn = draw_pairs(n_images, n_pairs, seed)
    assert drawn.shape == (n_pairs, 2)
    assert (drawn[:, 0] != drawn[:, 1]).all()
    assert np.array_equal(drawn, draw_pairs(n_images, n_pairs, seed))
    if n_pairs <= n_images // 2:
        assert len(np.unique(drawn)) == 2 * n_pairs
    elif n_pairs <= n_images:
        assert len(np.unique(drawn[:, 0])) == len(np.unique(drawn[:, 1])) == n_pairs


def test_pairs_depend_on_the_seed():
    assert not np.array_equal(draw_pairs(100, 50, 0), draw_pairs(100, 50, 1))


def test_held_out_part_is_disjoint():
    training, held_out = split_images(np.zeros(50), 10, seed=3)
    assert sorted([*training, *held_out]) == list(range(50))
    with pytest.raises(ValueError, match="held_out"):
        split_images(np.zeros(50), 49)


def test_batches_resume_where_they_would_have_been():
    images = load_images("sample", "train", limit=40).images
    whole = PairBatches(images, 8, epochs=3, seed=5)
    resumed = PairBatches(images, 8, epochs=3, first_epoch=2, seed=5)
    assert len(whole) == 15 and len(resumed) == 5
    for i in range(5):
        (covers, secrets), target = whole[10 + i]
        (covers_2, secrets_2), _ = resumed[i]
        assert np.array_equal(covers, covers_2) and np.array_equal(secrets, secrets_2)
        assert np.array_equal(target, np.concatenate([covers, secrets], -1))
        assert target.dtype == np.uint8
    first, second = ({tuple(p) for p in whole._pairs(epoch)} for epoch in (0, 1))
    assert len(first & second) < 10  # paired afresh


def test_batches_of_chosen_images_only():
    images = load_images("sample", "train", limit=40).images
    chosen = np.arange(3, 40, 2)
    (covers, secrets), _ = PairBatches(images, len(chosen), chosen, augment=False)[0]
    wanted = sorted(image.tobytes() for image in images[chosen])
    assert sorted(image.tobytes() for image in covers) == wanted
    assert sorted(image.tobytes() for image in secrets) == wanted


def test_batches_mirror_only_when_asked():
    images = load_images("sample", "train", limit=40).images
    known = {image.tobytes() for image in images}
    (covers, _), _ = PairBatches(images, 40, augment=False)[0]
    assert {image.tobytes() for image in covers} == known
    (covers, _), _ = PairBatches(images, 40)[0]
    mirrored = sum(image.tobytes() not in known for image in covers)
    assert 8 <= mirrored <= 32
    assert all(
        image[:, ::-1].tobytes() in known for image in covers if image.tobytes() not in known
    )


def test_load_pairs():
    images = load_images("sample", "val").images
    covers, secrets = load_pairs(images, 3, seed=2)
    drawn = draw_pairs(len(images), 3, seed=2)
    assert np.array_equal(covers, images[drawn[:, 0]])
    assert np.array_equal(secrets, images[drawn[:, 1]])
