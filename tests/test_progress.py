import os

import pytest

from steglib import progress


def test_chatter_is_dropped_only_meanwhile(capfd):
    os.write(2, b"before ")
    with pytest.raises(ValueError), progress.without_chatter():
        os.write(2, b"chatter")
        raise ValueError
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_bars_give_every_part_and_show_at_no_file(capfd):
    assert list(progress.bar(range(3), "Counting")) == [0, 1, 2]
    assert list(progress.bar(iter("abc"), "Spelling", 3)) == ["a", "b", "c"]
    assert capfd.readouterr() == ("", "")
