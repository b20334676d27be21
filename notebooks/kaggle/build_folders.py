"""Builds the folders to push to Kaggle: steglib as a dataset, and each notebook as a kernel.

python notebooks/kaggle/build_folders.py --user NAME [--output output/kaggle]
"""

import argparse
import json
import re
import shutil
from pathlib import Path

import nbformat
import yaml

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent

GPU = ("03", "06", "07")  # these train
EVALUATE = ("04", "05")  # these look at what 03 trained


def build_dataset(output: Path, user: str) -> None:
    """The package, its weights and the sample, as a dataset `<user>/steglib`."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "steglib", output / "steglib", ignore=ignore)
    shutil.copytree(REPO / "data" / "sample", output / "data" / "sample")
    metadata = {"title": "steglib", "id": f"{user}/steglib", "licenses": [{"name": "MIT"}]}
    (output / "dataset-metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")


def build_kernel(notebook: Path, output: Path, user: str) -> None:
    """One notebook without outputs, with the values of `params/full.yaml`, and its metadata."""
    output.mkdir(parents=True)
    book = nbformat.read(notebook, as_version=4)
    values = yaml.safe_load((REPO / "notebooks" / "params" / "full.yaml").read_text())
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", ()):
            for name, value in values[notebook.stem].items():
                line = re.compile(rf"^({name}: \w+ = ).*?(  #.*)$", re.MULTILINE)
                cell.source = line.sub(rf"\g<1>{value!r}\g<2>", cell.source)
    nbformat.write(book, output / notebook.name)
    number = notebook.stem[:2]
    template = (HERE / "kernel-metadata.json").read_text().replace("your-name", user)
    metadata = json.loads(template.replace("NUMBER", number).replace("NOTEBOOK", notebook.stem))
    if number not in GPU:
        metadata["enable_gpu"] = False
        del metadata["machine_shape"]
    if number in EVALUATE:
        metadata["kernel_sources"] = [metadata["id"].replace(number, "03")]
    (output / "kernel-metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")


def build(output: Path, user: str) -> None:
    notebooks = sorted(REPO.glob("notebooks/0*.ipynb"))
    for name in ("steglib", *(notebook.stem for notebook in notebooks)):
        shutil.rmtree(output / name, ignore_errors=True)  # what an earlier build left
    build_dataset(output / "steglib", user)
    for notebook in notebooks:
        build_kernel(notebook, output / notebook.stem, user)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--user", default="your-name", help="your name on Kaggle")
    parser.add_argument("--output", type=Path, default=REPO / "output" / "kaggle")
    options = parser.parse_args()
    build(options.output, options.user)
    print("Push with Kaggle's own command:")
    print(f"  kaggle datasets create -r zip -p {options.output}/steglib")
    for kernel in sorted(options.output.glob("0*")):
        print(f"  kaggle kernels push -p {kernel}")


if __name__ == "__main__":
    main()
