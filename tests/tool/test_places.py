from pathlib import Path

import pytest
from PIL import Image
from shell import assert_refused, names

from steglib.tool import places
from steglib.tool.places import STANDARD, Source, expand, outputs


@pytest.fixture
def folder(tmp_path, pictures):
    """Pictures at two depths, with what systems leave beside them."""
    for name in "a.png", "b.jpg", "sub/c.png", "sub/deep/a.png":
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[0]).save(path)
    for name in "._a.png", "Thumbs.db", "notes.txt", "sub/.hidden.png":
        (tmp_path / "photos" / name).write_bytes(b"\0\5\x16\7")
    return tmp_path / "photos"


def found(sources):
    return [str(source.inside) for source in sources]


def test_a_folder_means_its_pictures(folder):
    assert found(expand([folder])) == ["a.png", "b.jpg"]
    every = ["a.png", "b.jpg", "sub/c.png", "sub/deep/a.png"]
    assert found(expand([folder], recursive=True)) == every
    assert all(source.path == folder / source.inside for source in expand([folder], True))


def test_wildcards_that_the_shell_has_left(folder):
    assert found(expand([folder / "*.png"])) == ["a.png"]
    assert found(expand([folder / "**/*.png"])) == ["a.png", "c.png", "a.png"]
    strange = folder / "what[1].png"
    strange.write_bytes(b"x")
    assert expand([strange]) == [Source(strange, Path("what[1].png"))]


def test_files_stay_as_they_are(folder):
    """Also those that are not there: to read them says best what is wrong."""
    assert found(expand([folder / "a.png", Path("missing.png")])) == ["a.png", "missing.png"]


def test_nothing_found(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty holds no picture"):
        expand([tmp_path / "empty"])
    with pytest.raises(ValueError, match=r"x\*\.png matches no file"):
        expand([folder / "x*.png"])
    with pytest.raises(ValueError, match="--recursive"):
        (tmp_path / "outer").mkdir()
        folder.rename(tmp_path / "outer/photos")
        expand([tmp_path / "outer"])


def test_standard_input_is_one_file(folder):
    assert expand([STANDARD]) == [Source(STANDARD, Path("-"))]
    with pytest.raises(ValueError, match="one file"):
        expand([STANDARD, folder / "a.png"])


def test_outputs_keep_the_folders(folder, tmp_path):
    found = outputs(expand([folder], True), tmp_path / "out", False, lambda path, force: None)
    expected = ["a.png", "b.png", "sub/c.png", "sub/deep/a.png"]
    assert [path.relative_to(tmp_path / "out").as_posix() for path in found] == expected
    assert all(path.parent.is_dir() for path in found)


def test_standard_output_is_one_file(folder):
    assert outputs(expand([folder / "a.png"]), STANDARD, False, None) == [STANDARD]
    with pytest.raises(ValueError, match="2 files"):
        outputs(expand([folder]), STANDARD, False, None)
    assert not places.into_folder(expand([folder / "a.png"]), STANDARD)


def test_hide_in_a_folder_and_reveal_from_it(folder, tmp_path, files, steglib):
    stegos, out = tmp_path / "stegos", tmp_path / "out"
    code, said, error = steglib("hide", folder, files[1], "-o", stegos, "--recursive")
    assert (code, error, said.count("cover PSNR")) == (0, "", 4)
    code, said, error = steglib("reveal", stegos, "-o", out, "--recursive")
    assert (code, error) == (0, "")
    assert names(out) == ["a.png", "b.png", "sub"] and names(out / "sub") == ["c.png", "deep"]
    assert steglib("inspect", stegos, "--recursive")[1].count("It hides a picture") == 4


def test_two_files_of_one_name_in_two_folders(folder, files, tmp_path, steglib):
    pattern = folder / "**" / "a.png"
    result = steglib("hide", pattern, files[1], "-o", tmp_path / "out")
    assert_refused(result, 2, "a.png would be written more than once")


def test_how_many_failed_is_said_once_more(tmp_path, files, steglib):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(21):
        (folder / f"{i:02}.png").write_bytes(b"" if i == 7 else files[0].read_bytes())
    code, said, error = steglib("hide", folder, files[1], "-o", tmp_path / "out")
    assert code == 2 and said.count("cover PSNR") == 20
    assert "07.png is empty" in error and error.endswith("steglib: 1 of 21 files failed\n")
