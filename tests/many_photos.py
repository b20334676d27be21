"""Hides a secret in 500 photos of mixed sizes, here and on a cluster whose workers are killed.

    python tests/many_photos.py [COUNT]

The cluster has two workers on this machine, of which one is killed when a third is done, and
another at two thirds; as a nanny would, this starts new ones. Then all must be there, reveal the
secret, and nothing else must be. Prints how long both took.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from clusters import Cluster, wait_until
from PIL import Image

import steglib
from steglib.evaluation import metrics
from steglib.images import arrays, photos
from steglib.research import photographs


def write_covers(folder: Path, count: int) -> float:
    """Parts of photographs, from 64×64 to 1024×768 pixels; returns how many millions in all."""
    rng, pixels = np.random.default_rng(0), 0
    images = [*photographs.photographs().values(), *steglib.load_images("sample", "val").images]
    for i in range(count):
        width = round(64 * 16 ** rng.random())
        height = max(64, round(width * rng.choice([1, 3 / 4, 2 / 3])))
        image = arrays.fit_to(images[rng.integers(len(images))], min(height, 768), width)
        Image.fromarray(image).save(folder / f"{i}.png")
        pixels += image.size / 3e6
    return pixels


def seconds(*command) -> float:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "steglib", *map(str, command)], text=True,
                          capture_output=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    return time.monotonic() - start


def main(folder: Path, count: int) -> None:
    covers, secret, here, there = (folder / name for name in ("covers", "s.png", "here", "there"))
    covers.mkdir()
    print(f"{count} photos, {write_covers(covers, count):.0f} megapixels")
    photos.write_photo(steglib.load_images("sample", "val").images[0], secret)
    print(f"two processes here: {seconds('hide', covers, secret, '-o', here):.0f} s", flush=True)

    (folder / "cluster").mkdir()
    cluster = Cluster(folder / "cluster")
    try:
        cluster.have_workers(2)
        place = "--cluster", cluster.address
        start = time.monotonic()
        command = [sys.executable, "-m", "steglib", "hide", covers, secret, "-o", there, *place]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for part in (1, 2):
                wait_until(lambda: len([*there.glob("*.png")]) > part * count / 3, 3600)  # noqa: B023
                cluster.workers[0].kill()
                cluster.workers[0].wait()
                cluster.have_workers(2)
            process.communicate()
        assert process.returncode == 0
        print(
            f"two workers, of which one is killed, twice: {time.monotonic() - start:.0f} s",
            flush=True,
        )
        taken = seconds("reveal", there, "-o", folder / "back", *place)
        print(f"revealed there: {taken:.0f} s", flush=True)
    finally:
        cluster.end()

    names, psnrs = sorted(path.name for path in covers.iterdir()), []
    for results in (there, folder / "back"):
        assert sorted(path.name for path in results.iterdir()) == names
    for name in names:
        assert (here / name).read_bytes() == (there / name).read_bytes()
        revealed = photos.read_photo(folder / "back" / name).image
        wanted = arrays.fit_to(photos.read_photo(secret).image, *revealed.shape[:2])
        psnrs.append(metrics.psnr(wanted[None], revealed[None])[0])
    print(f"all {count} there, as they are here; secret PSNR {min(psnrs):.1f} dB and more")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 500)
