import base64
import io
import re
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from steglib import load_model
from steglib.evaluation import pictures
from steglib.tool import playground
from steglib.tool.playground import OWN, HidePanel, RevealPanel

RNG = np.random.default_rng(0)
TEXT = b"this is no picture\n"


def photo(height, width):
    """A smooth picture with some noise, uint8 [height, width, 3]."""
    small = Image.fromarray(RNG.integers(40, 210, (6, 6, 3), np.uint8))
    large = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    return large + RNG.integers(0, 4, large.shape, np.uint8)


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format, **options)
    return file.getvalue()


def upload(picker, name, content):
    facts = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    picker.upload.value = (facts | {"last_modified": datetime(2026, 1, 1)},)


def linked(panel):
    """The bytes behind the panel's link."""
    link = rf'download="{panel.file.name}" href="data:image/png;base64,(.*?)"'
    return base64.b64decode(re.search(link, panel.link.value)[1])


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def is_one_error(html):
    return "color" in html and html.count("<") == 2 and "\n" not in html


@pytest.fixture
def panel(tmp_path):
    """It hides an uploaded secret of 40×56 pixels in an uploaded cover of 64×48."""
    pictures.plt.close("all")
    panel = HidePanel(tmp_path / "stego.png", "coffee", "astronaut", "residue", rate=1.45)
    upload(panel.cover, "cover.png", encoded(photo(48, 64)))
    upload(panel.secret, "secret.png", encoded(photo(56, 40)))
    return panel


def test_samples_are_read_without_network():
    assert {playground.read(name).image.shape[2] for name in playground.SAMPLES} == {3}


def test_where_no_widgets_are_shown_a_line_says_what_would_appear(panel, tmp_path):
    for one in (panel, RevealPanel(tmp_path / "revealed.png", panel.file, "residue")):
        line = one._repr_mimebundle_()["text/plain"]
        assert line == repr(one) and f"press {one.button.description}" in line


def test_what_is_chosen_is_shown():
    picker = playground.Picker("Cover", ["coffee", "rocket"])
    assert picker.caption.value == "600×400 pixels"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°
    upload(picker, "IMG <1>.JPG", encoded(photo(30, 50), "JPEG", exif=exif))
    assert picker.choice.value == OWN
    assert picker.caption.value == "IMG &lt;1&gt;.JPG, 30×50 pixels"
    assert decoded(picker.thumbnail.value).shape == (50, 30, 3)
    picker.choice.value = "rocket"
    assert picker.read().image.shape == (427, 640, 3)
    picker.choice.value = OWN  # what was uploaded is still there
    assert picker.read().image.shape == (50, 30, 3)


def test_hides_what_was_uploaded_and_links_to_the_file(panel):
    panel.button.click()
    assert "bits in each sample." in panel.message.value and "no password" in panel.message.value
    assert re.search(r"The secret comes back with about [\d.]+ dB\.", panel.message.value)
    stego = linked(panel)
    assert stego == panel.file.read_bytes()
    secret = panel.secret.read().image
    revealed = load_model("residue").reveal(decoded(stego))
    assert revealed.shape == secret.shape
    assert np.abs(revealed.astype(int) - secret).mean() < 3
    assert decoded(panel.picture.value).shape[1] > 500 and not pictures.plt.get_fignums()


def test_another_press_replaces_the_result(panel):
    panel.button.click()
    said, picture, stego = panel.message.value, panel.picture.value, linked(panel)
    panel.rate.value = 3.0
    panel.button.click()
    panel.button.click()
    assert panel.message.value != said and panel.picture.value != picture and linked(panel) != stego
    assert panel.message.value.count("bits in each sample") == 1


def test_classic_has_neither_rate_nor_password(panel):
    panel.password.value = "swordfish"
    panel.model.value = "classic"
    assert panel.rate.disabled and panel.password.disabled
    panel.button.click()
    assert "scaled and cropped to 64×48 pixels" in panel.message.value
    assert "no password" in panel.message.value
    panel.model.value = "residue"
    assert not panel.rate.disabled and not panel.password.disabled


def test_button_is_disabled_while_working(panel, monkeypatch):
    seen = []

    def fail(*_):
        seen.append((panel.button.disabled, panel.message.value))
        raise RuntimeError("of two\nlines & more")

    monkeypatch.setattr(playground, "try_out", fail)
    panel.button.click()
    assert seen == [(True, "Working …")]
    assert not panel.button.disabled
    assert is_one_error(panel.message.value) and "of two lines &amp; more" in panel.message.value


def test_errors_are_one_line_and_leave_no_old_result(panel):
    panel.button.click()
    upload(panel.secret, "notes.png", TEXT)
    assert "notes.png is no picture" in panel.secret.caption.value
    panel.button.click()
    assert is_one_error(panel.message.value) and "notes.png is no picture" in panel.message.value
    assert panel.picture.value == b"" and panel.link.value == ""
    assert panel.picture.layout.display == "none"
    upload(panel.secret, "secret.png", encoded(photo(56, 40)))
    panel.button.click()
    assert linked(panel) and panel.picture.layout.display is None


@pytest.mark.parametrize("rate", [0, 1.0, 4.0])
def test_the_rate_that_is_chosen(panel, rate):
    """0 is as needed."""
    panel.rate.value = rate
    panel.button.click()
    cover, secret = panel.cover.read().image, panel.secret.read().image
    wanted = load_model("residue", rate=rate or None).hide(cover, secret)
    assert np.array_equal(decoded(linked(panel)), wanted)


def test_rates_are_offered(tmp_path):
    panel = HidePanel(tmp_path / "stego.png", "coffee", "astronaut", "residue")
    assert panel.rate.value == 0 and panel.rate.label == "as needed"
    assert [rate for _, rate in panel.rate.options] == [0, 1.0, 1.45, 2.0, 2.32, 3.0, 4.0]
    assert dict(panel.rate.options)["1.45 bits"] == 1.45


def test_nothing_uploaded(tmp_path):
    panel = HidePanel(tmp_path / "stego.png", "coffee", "astronaut", "residue")
    panel.cover.choice.value = OWN
    panel.button.click()
    assert "Upload a picture" in panel.message.value


def test_large_files_have_no_link(panel, monkeypatch):
    monkeypatch.setattr(playground, "LONGEST_LINK", 100)
    panel.button.click()
    assert "href" not in panel.link.value and str(panel.file.parent) in panel.link.value


def test_reveals_with_the_password_only(panel, tmp_path):
    panel.password.value = "swordfish"
    panel.button.click()
    assert "no password" not in panel.message.value
    reveal = RevealPanel(tmp_path / "revealed.png", panel.file, "residue")
    reveal.button.click()
    assert is_one_error(reveal.message.value) and not reveal.link.value
    reveal.password.value = "swordfish"
    reveal.button.click()
    assert reveal.message.value == "The secret has 40×56 pixels."
    assert decoded(linked(reveal)).shape == (56, 40, 3)
    upload(reveal.stego, "sent.jpg", encoded(panel.cover.read().image, "JPEG"))
    reveal.button.click()
    assert is_one_error(reveal.message.value)


def test_reveals_what_was_hidden_last(panel, tmp_path):
    panel.button.click()
    reveal = RevealPanel(tmp_path / "revealed.png", panel.file, "residue")
    upload(panel.cover, "wide.png", encoded(photo(40, 90)))
    panel.button.click()
    reveal.button.click()
    assert "90×40" in reveal.stego.caption.value and "40×56" in reveal.message.value
