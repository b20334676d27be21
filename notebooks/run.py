"""Runs the notebooks in order with papermill, without a browser.

    python notebooks/run.py [--params quick] [--data FOLDER] [--output output]

Executed notebooks, figures and training runs go to a folder in the output folder, one for
each set of parameters and data.
"""

import argparse
import os
from pathlib import Path

import papermill
import yaml

HERE = Path(__file__).resolve().parent


def load_params(name: str) -> dict[str, dict]:
    """Parameters by notebook, from `params/<name>.yaml`."""
    return yaml.safe_load((HERE / "params" / f"{name}.yaml").read_text())


def run(params: str, data: str | None, output: Path) -> None:
    """Executes every notebook that the parameter file names.

    Raises:
        papermill.PapermillExecutionError: a cell failed; the executed notebook shows where.
    """
    # Everything that the notebooks write goes below this folder.
    os.environ["STEGLIB_HOME"] = str(output)
    (output / "notebooks").mkdir(parents=True, exist_ok=True)
    for name, values in load_params(params).items():
        print(f"{name} …", flush=True)
        source, target = HERE / f"{name}.ipynb", output / "notebooks" / f"{name}.ipynb"
        if data and "data" in papermill.inspect_notebook(source):
            values = values | {"data": data}
        papermill.execute_notebook(source, target, values, cwd=HERE, kernel_name="python3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", default="quick", help="a file in notebooks/params")
    parser.add_argument("--data", help="tiny-imagenet, or a folder; default: as the file says")
    parser.add_argument("--output", type=Path, default=HERE.parent / "output")
    options = parser.parse_args()
    data, kind = options.data, options.params
    if data:  # runs on other data are other runs
        kind += f"-{Path(data).resolve().name}"
        data = str(Path(data).resolve()) if Path(data).is_dir() else data
    output = options.output.resolve() / kind
    run(options.params, data, output)

    import pandas as pd

    from steglib.evaluation.scores import summarise

    print("\nHeld-out pairs, after an 8-bit PNG file:\n")
    print(summarise(pd.read_csv(output / "runs" / "scores.csv")).round(3).to_string())
    print(f"\nExecuted notebooks: {output / 'notebooks'}")
    print(f"Figures:            {output / 'figures'}")
    print(f"Training runs:      {output / 'runs'}")


if __name__ == "__main__":
    main()
