"""Execute the paired .py notebooks: store the .ipynb, or write pages.

python -m helpers.workshop.building store notebooks/*.py  rebuild the .ipynb
python -m helpers.workshop.building run notebooks/*.py    pages in build/
python -m helpers.workshop.building site notebooks/*.py   a site in build/site/
"""

import argparse
import base64
import pathlib
import time

import jupytext
import nbformat
from nbclient import NotebookClient

from helpers.engine import caching, pictures
from helpers.workshop import publishing

PAGES = pathlib.Path("build")
WIDGET = "application/vnd.jupyter.widget-view+json"
MOVING = (
    "from helpers.workshop import publishing; publishing.move_sliders(); "
    "del publishing"
)
FOLDED = {  # what JupyterLab hides of a cell, by its tag
    "solution": ["source_hidden", "outputs_hidden"],
    "check": ["source_hidden"],
}
METADATA = {
    "jupytext": {
        "cell_metadata_filter": "tags,-all",
        "notebook_metadata_filter": "kernelspec,-jupytext,-all",
    },
    "kernelspec": {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    },
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
    },
}


def execute(path, *before):
    """Run a .py notebook in its own folder; returns it with its outputs.

    The kernel runs the lines `before` first.
    """
    notebook = jupytext.read(path)
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=1200,
        record_timing=False,
        coalesce_streams=True,  # of a progress bar only the end is kept
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=[
            "--IPKernelApp.capture_fd_output=False",
            "--IPKernelApp.log_level=40",
            *(f"--IPKernelApp.exec_lines={line}" for line in before),
        ],
    ).execute()
    return _clean(notebook, path)


def store(path):
    """Rebuild the .ipynb beside `path`, and the picture it is tagged for."""
    notebook = execute(path)
    text = nbformat.writes(notebook) + "\n"
    _write(path.with_suffix(".ipynb"), text.encode())
    for cell in notebook.cells:
        if "headline" in cell.metadata.get("tags", []):
            png = cell.outputs[-1]["data"]["image/png"]
            _write(path.parent / "headline.png", base64.b64decode(png))


def run(path):
    """Execute `path` and leave a readable page of it in build/."""
    html = publishing.page(execute(path), path.stem, _pages(path))
    _write(PAGES / f"{path.stem}.html", html.encode())


def site(path):
    """Execute `path` for build/site/, where sliders move without a kernel."""
    folder, pages = PAGES / "site", _pages(path)
    html = publishing.page(execute(path, MOVING), path.stem, pages)
    readme = (path.parent.parent / "README.md").read_text(encoding="utf-8")
    readme = publishing.readme_page(readme, pages)
    headline = path.with_name("headline.png").read_bytes()
    _write(folder / f"{path.stem}.html", html.encode())
    _write(folder / "readme.html", readme.encode())
    _write(folder / "headline.png", headline)


def main(arguments=None):
    """Do the named work for each notebook, with a line for each."""
    works = {"store": store, "run": run, "site": site}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=works)
    parser.add_argument("notebooks", nargs="+", type=pathlib.Path)
    options = parser.parse_args(arguments)
    paths = options.notebooks
    for number, path in enumerate(paths, start=1):
        print(f"{number}/{len(paths)} {path.stem} ...", end=" ", flush=True)
        start = time.perf_counter()
        works[options.work](path.resolve())
        print(f"{time.perf_counter() - start:.0f} s", flush=True)


def _clean(notebook, path):
    """Drop what differs from run to run or what GitHub cannot show."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{path.stem[:2]}-{number:03d}"
        for tag in FOLDED.keys() & set(cell.metadata.get("tags", [])):
            cell.metadata["jupyter"] = dict.fromkeys(FOLDED[tag], True)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if len(data) > 1:
                data.pop(WIDGET, None)
            if "image/png" in data:
                png = base64.b64decode(data["image/png"])
                png = pictures.small(png, colours=256)
                data["image/png"] = pictures.as_text(png)
    nbformat.validate(notebook)
    return notebook


def _pages(path):
    return publishing.titles(sorted(path.parent.glob("[0-9][0-9]_*.py")))


def _write(path, content):
    with caching.whole(path) as part:
        part.write_bytes(content)


if __name__ == "__main__":
    main()
