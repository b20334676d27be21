"""Executes the notebooks and solutions in place with their default parameters, for committing.

    python notebooks/refresh.py [NAME …]     such as 03_training or solutions/03_training

Log lines and progress bars (all that goes to stderr) are left out of the outputs.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


def refresh(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": path.parent}}, timeout=1800).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ in every run
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    nbformat.write(notebook, path)


def main() -> None:
    names = sys.argv[1:] or [
        str(path.relative_to(HERE).with_suffix(""))
        for folder in (HERE, HERE / "solutions")
        for path in sorted(folder.glob("*.ipynb"))
    ]
    with tempfile.TemporaryDirectory() as home:
        os.environ["STEGLIB_HOME"] = home
        for name in names:
            print(name, flush=True)
            refresh(HERE / f"{name}.ipynb")


if __name__ == "__main__":
    main()
