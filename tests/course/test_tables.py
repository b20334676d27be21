"""The tables of README.md and figures/README.md say what the weights' cards say."""

import re
from pathlib import Path

import pytest

from steglib.zoo import load_card

REPO = Path(__file__).resolve().parent.parent.parent
OURS = re.compile(r"\*\*`(\w+)`(, base \d+|, [\d.]+ bits? a sample)?\*\*")
ANCHORS = re.compile(r"^#+ (.+)$", re.M)


def rows(path):
    """Name of the model and cells of each row that shows one of ours on Tiny ImageNet."""
    table = path.read_text().partition("| | cover PSNR")[2].partition("\n\n")[0]
    for line in table.splitlines():
        if found := OURS.search(line):
            cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
            yield found[1], found[1] + (found[2] or ""), cells[1:]


def scores(model, row):
    found = load_card(model)["scores"]
    return found.get(row, found)


@pytest.mark.parametrize("path", [REPO / "README.md", REPO / "figures" / "README.md"], ids=str)
def test_scores_are_those_of_the_cards(path):
    shown = list(rows(path))
    assert {model for model, _, _ in shown} >= {"residue", "plain", "classic"}
    for model, row, (cover_psnr, cover_ssim, secret_psnr, secret_ssim, *rmse) in shown:
        known = scores(model, row)
        assert cover_psnr == f"{known['cover_psnr']:.1f}"
        assert secret_psnr == f"{known['secret_psnr']:.1f}"
        for text, name in ((cover_ssim, "cover_ssim"), (secret_ssim, "secret_ssim")):
            assert text == f"{known[name]:.3f}".removeprefix("0")
        if rmse:
            assert rmse == [f"{known['cover_rmse']:.1f} / {known['secret_rmse']:.1f}"]


def test_parameters_are_those_of_the_cards():
    text = (REPO / "README.md").read_text()
    for model, _, _ in rows(REPO / "README.md"):
        wanted = f"{load_card(model)['parameters'] / 1e6:.2g} M parameters"
        assert re.search(rf"\*\*`{model}.*{re.escape(wanted)}", text), (model, wanted)


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (REPO / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    for page in (REPO / "README.md", REPO / "figures" / "README.md"):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)]*)\)", page.read_text()):
            if target.startswith("http"):
                continue
            linked = page.parent / target if target else page
            assert linked.exists(), target
            if anchor:
                assert anchor in map(as_anchor, ANCHORS.findall(linked.read_text()))


def as_anchor(title):
    """As GitHub makes one of a heading."""
    return re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
