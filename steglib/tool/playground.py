"""The page to play on, notebook 00: photographs chosen or uploaded, hidden and revealed."""

import base64
import functools
import html
import io
import tempfile
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import skimage
from PIL import Image

from steglib import zoo
from steglib.channels import seal as sealing
from steglib.evaluation import pictures
from steglib.hider import Hider
from steglib.images import arrays, photos
from steglib.images.photos import Photo, PhotoError
from steglib.tool.jobs import size_of

SAMPLES = ("coffee", "astronaut", "chelsea", "rocket")  # inside scikit-image: no network
OWN = "your own file"
SLOW = 3e6  # pixels
RATES = 0, 1.0, 1.45, 2.0, 2.32, 3.0, 4.0  # bits in each sample; 0 for as few as needed
LONGEST_LINK = 10e6  # bytes: browsers stop somewhere above, and Jupyter takes no larger uploads


def read(source: str | Path) -> Photo:
    """A photograph: one of `SAMPLES`, or a file. Raises `PhotoError`."""
    if source in SAMPLES:
        return Photo(getattr(skimage.data, source)(), (), b"")
    return photos.read_photo(source)


_load_once = functools.lru_cache(8)(zoo.load_model)


def load(model: str, rate: float | None = None, password: str = "") -> Hider:
    """The hider that the page asks for: of rate and password, it gets what it takes."""
    options = {"rate": rate or None, "key": sealing.password(password) or None}
    taken = zoo.find(model).options
    return _load_once(model, **{name: value for name, value in options.items() if name in taken})


def try_out(hider: Hider, cover: Photo, secret: Photo, file: Path):
    """Hides, writes the stego image to `file`, and reveals what it reads from there.

    Returns:
        Cover, secret (as it was hidden), stego and revealed image; and lines to say about them.

    Raises:
        ValueError: the photographs or the file cannot be used; the message is one line.
    """
    fitted = hider.fit_secret(secret.image, cover.image)
    stego, remarks = hider.hide_remarked(cover.image, fitted)
    photos.write_photo(stego, file, overwrite=True)
    stego = photos.read_samples(file)
    revealed = hider.reveal(stego)

    lines = [f"The cover: {note}." for note in cover.notes]
    lines += [f"The secret: {note}." for note in secret.notes]
    if fitted.shape != secret.image.shape:
        way = "scaled and cropped" if hider.same_size else "scaled"
        lines.append(f"The secret was {way} to {size_of(fitted)}.")
    lines += [f"{remark[0].upper()}{remark[1:]}." for remark in remarks]
    if hider.key is None:
        lines.append("There is no password: anyone who has steglib can reveal the secret.")
    return (cover.image, fitted, stego, revealed), lines


class Picker(widgets.VBox):
    """One photograph of several, or an uploaded one.

    Args:
        title: what it is for.
        sources: what `read` takes; the first is chosen.
    """

    def __init__(self, title: str, sources):
        options = [(Path(source).name, source) for source in dict.fromkeys(sources)]
        self.choice = widgets.Dropdown(options=[*options, (OWN, OWN)], layout={"width": "160px"})
        self.upload = widgets.FileUpload(accept="image/*", layout={"width": "120px"})
        self.caption, self.thumbnail = widgets.HTML(), _picture()
        self.choice.observe(self.show, "value")
        self.upload.observe(self._uploaded, "value")
        row = widgets.HBox([self.choice, self.upload])
        heading = widgets.HTML(f"<b>{html.escape(title)}</b>")
        super().__init__([heading, row, self.thumbnail, self.caption], layout={"width": "50%"})
        self.show()

    def read(self) -> Photo:
        """What is chosen. Raises `PhotoError`, naming the file as the person does."""
        if self.choice.value != OWN:
            return read(self.choice.value)
        if not self.upload.value:
            raise PhotoError("Upload a picture with the button, or choose one from the list.")
        (file,) = self.upload.value
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "upload")
            path.write_bytes(file["content"])
            try:
                return photos.read_photo(path)
            except PhotoError as error:
                raise PhotoError(str(error).replace(str(path), file["name"])) from error

    def show(self, _=None) -> None:
        """Shows what is chosen, small, or why it cannot be used."""
        try:
            photo = self.read()
        except Exception as error:
            self.caption.value = _error(error)
            _set_picture(self.thumbnail, b"")
            return
        name = f"{self.upload.value[0]['name']}, " if self.choice.value == OWN else ""
        lines = [f"{name}{size_of(photo.image)}", *photo.notes]
        if photo.image.size > 3 * SLOW:
            lines.append(f"{photo.image.size / 3e6:.0f} megapixels take a while")
        self.caption.value = _lines(lines)
        _set_picture(self.thumbnail, _as_file(photo.image, 150 * 150, "JPEG"))

    def _uploaded(self, _):
        if self.choice.value == OWN:
            self.show()
        self.choice.value = OWN  # which shows it, too


class _Panel(widgets.VBox):
    """A button, and what came of pressing it: a picture, a message, a file (which `_work` returns).

    Subclasses say in `appears` what a person does here.

    Args:
        label: of the button.
        pickers: of photographs.
        settings: a widget for each option of the zoo that the panel offers.
        model: which to choose first.
        password: seals the secret; "" for none.
    """

    def __init__(self, label, pickers, settings, model, password):
        offered = [name for name, entry in zoo.MODELS.items() if entry.photos]
        self.model = widgets.Dropdown(options=offered, value=model, description="model")
        self.password = widgets.Password(value=password, description="password")
        self.button = widgets.Button(description=label, button_style="primary")
        self.message, self.picture, self.link = widgets.HTML(), _picture(), widgets.HTML()
        self.settings = settings | {"key": self.password}
        self.model.observe(self._adapt, "value")
        self.button.on_click(self._press)
        rows = widgets.HBox(pickers), widgets.HBox([self.model, *self.settings.values()])
        super().__init__([*rows, self.button, self.message, self.picture, self.link])
        self._adapt()

    def _adapt(self, _=None):
        entry = zoo.find(self.model.value)
        self.model.tooltip = entry.about
        for option, setting in self.settings.items():
            setting.disabled = option not in entry.options

    def __repr__(self):  # all that GitHub shows
        return f"(Run this notebook: here you {self.appears}.)"  # ipywidgets cuts it after 110

    def _load(self, rate=None):
        return load(self.model.value, rate, self.password.value)

    def _press(self, _):
        self.button.disabled, self.message.value, self.link.value = True, "Working …", ""
        try:
            picture, lines, file = self._work()
        except (Exception, KeyboardInterrupt) as error:  # the page must go on
            picture, self.message.value = b"", _error(error)
        else:
            self.message.value, self.link.value = _lines(lines), _link(file)
        finally:
            self.button.disabled = False
        _set_picture(self.picture, picture)


class HidePanel(_Panel):
    """Chooses a cover and a secret, hides, shows what became of them, and gives the stego file.

    Args:
        file: what to write, a PNG file.
        cover, secret: what to choose first, for `read`.
        model: one of the zoo for photos.
        rate: of a model that has one, bits in each sample, one of `RATES`; 0 for as few as needed.
        password: seals the secret; "" for none.
        magnify: differences are shown times this.
    """

    appears = "choose two photographs and a model, press Hide, and see the six pictures"

    def __init__(self, file, cover, secret, model, rate=0, password="", magnify=20):
        self.file, self.magnify = file, magnify
        self.cover = Picker("Cover: all may see it", [cover, *SAMPLES])
        self.secret = Picker("Secret: to be hidden in it", [secret, *SAMPLES])
        options = [(f"{rate:g} bits" if rate else "as needed", rate) for rate in RATES]
        self.rate = widgets.Dropdown(options=options, value=rate, description="rate")
        pickers = self.cover, self.secret
        super().__init__("Hide", pickers, {"rate": self.rate}, model, password)

    def _work(self):
        hider, cover, secret = self._load(self.rate.value), self.cover.read(), self.secret.read()
        images, lines = try_out(hider, cover, secret, self.file)
        figure, file = pictures.show_hiding(*images, self.magnify), io.BytesIO()
        figure.savefig(file, bbox_inches="tight")
        plt.close(figure)  # else the next cell would show it
        return file.getvalue(), lines, self.file


class RevealPanel(_Panel):
    """Reveals what a stego image hides, writes it as a PNG file, and gives that.

    Args:
        file: what to write, a PNG file.
        stego: the file to choose first.
        model, password: as in `HidePanel`.
    """

    appears = "choose a stego image and its model, press Reveal, and see the secret"

    def __init__(self, file, stego, model, password=""):
        self.file = file
        self.stego = Picker("Stego image", [stego])
        super().__init__("Reveal", [self.stego], {}, model, password)

    def _work(self):
        self.stego.show()  # another one may lie there now
        revealed = self._load().reveal(self.stego.read().image)
        photos.write_photo(revealed, self.file, overwrite=True)
        lines = [f"The secret has {size_of(revealed)}."]
        return _as_file(revealed, 600 * 600, "PNG"), lines, self.file


def _lines(lines):
    return "<br>".join(html.escape(line) for line in lines)


def _error(error):
    reason = " ".join(str(error).split()) or type(error).__name__
    return f'<span style="color: var(--jp-error-color1, #c00)">{html.escape(reason)}</span>'


def _link(file):
    data, name = file.read_bytes(), html.escape(file.name)
    if len(data) > LONGEST_LINK:
        return f"{name} ({len(data) / 1e6:.0f} MB) lies in {html.escape(str(file.parent))}"
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    style = "color: var(--jp-content-link-color, #06c); text-decoration: underline"
    link = f'<a download="{name}" href="{url}" style="{style}">Download {name}</a>'
    return f"{link} ({len(data) / 1e3:.0f} kB)"


def _as_file(image, pixels, format):
    file = io.BytesIO()
    Image.fromarray(arrays.scale_to(image, pixels)).save(file, format)
    return file.getvalue()


def _picture():
    layout = {"max_width": "99%", "align_self": "flex-start", "display": "none"}
    return widgets.Image(layout=layout)


def _set_picture(picture, data):
    picture.value, picture.layout.display = data, None if data else "none"
