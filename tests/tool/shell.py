"""What the tests of the commands share: processes as people have them, and what is left."""

import numpy as np
from PIL import Image

from steglib.channels.residues import ResidueChannel

KEY = b"correct horse"
# A process without the privileges that let root read what nobody may.
AS_PEOPLE = """import ctypes, os, sys
for privilege in (1, 2) if os.geteuid() == 0 else ():
    ctypes.CDLL(None).prctl(24, privilege, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "steglib", *sys.argv[1:]])"""
# A terminal at which somebody answers whatever is asked.
AT_A_TERMINAL = """import os, pty, sys
answers, output = sys.argv[1].split(","), b""
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-m", "steglib", *sys.argv[2:]])
with open(terminal, "r+b", buffering=0) as screen:
    while True:
        try:
            part = screen.read(1024)
        except OSError:
            break
        output += part
        if part.endswith(b": ") and answers:
            screen.write(answers.pop(0).encode() + b"\\n")
print(output.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"""


def pixels(path):
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def assert_refused(result, code, *words):
    """Exactly one line, on stderr."""
    assert result[0] == code, result
    error = result[2]
    assert error.startswith("steglib: ") and error.count("\n") == 1 and error.endswith("\n")
    for word in words:
        assert str(word) in error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def change(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def hidden(path, key=None):
    """The payload of a stego file."""
    return ResidueChannel(key=key).read(pixels(path))
