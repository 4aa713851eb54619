"""Built notebooks hold what a reader needs, and nothing that varies."""

import base64
import io

import jupytext
import nbformat
import pytest
from bs4 import BeautifulSoup
from nbclient.exceptions import CellExecutionError
from PIL import Image

from helpers.workshop import building

SOURCE = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Build

# %% tags=["headline"]
import matplotlib.pyplot as plt

_ = plt.plot([1, 2])

# %% tags=["nbval-ignore-output"]
import sys

from tqdm import tqdm

for _ in tqdm(range(5), file=sys.stdout):
    pass

# %%
from helpers import sliders
from helpers.engine import pictures

picture = pictures.RingAndImage(
    lambda ax: ax.plot([0.0, 0.5], [90, 80]), (2, 2), "mask"
)
sliders.Explorer(
    [0.0, 0.5], lambda p: ({"accuracy": p}, [[0, 1], [1, p]]), picture.pngs, 0.5
)

# %% tags=["solution"]
print("right")

# %% tags=["check"]
print("checked")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which one notebook was stored."""
    folder = tmp_path_factory.mktemp("notebooks")
    path = folder / "07_build.py"
    path.write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND", raising=False)  # the kernel's is inline
        building.store(path)
    return folder


@pytest.fixture(scope="module")
def stored(folder):
    return nbformat.read(folder / "07_build.ipynb", as_version=4)


@pytest.fixture
def cells(stored):
    return [cell for cell in stored.cells if cell.cell_type == "code"]


def test_stored_notebook_is_the_source_executed_in_order(stored, cells):
    source = jupytext.reads(SOURCE, fmt="py:percent")
    assert [c.source for c in stored.cells] == [c.source for c in source.cells]
    for cell, written in zip(stored.cells, source.cells, strict=True):
        assert cell.metadata.get("tags") == written.metadata.get("tags")
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5]
    assert cells[3].outputs[0].text == "right\n"


def test_only_the_end_of_a_progress_bar_is_kept(cells):
    (bar,) = cells[1].outputs
    assert bar.name == "stdout"
    assert "100%" in bar.text
    assert " 0%" not in bar.text
    assert "\r" not in bar.text.rstrip()


def test_of_a_widget_the_picture_and_a_stable_text_are_kept(stored, cells):
    (output,) = cells[2].outputs
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.data["text/plain"].startswith("[slider: sparsity, 2 pos")
    assert "widgets" not in stored.metadata


def test_pictures_are_one_line_of_base64_in_few_colours(cells):
    for cell in (cells[0], cells[2]):
        picture = cell.outputs[-1].data["image/png"]
        assert len(picture.split()) == 1
        png = Image.open(io.BytesIO(base64.b64decode(picture)))
        assert (png.format, png.mode) == ("PNG", "P")


def test_nothing_that_varies_from_run_to_run_is_stored(stored):
    assert stored.metadata == building.METADATA
    assert [cell.id for cell in stored.cells] == [
        f"07-{number:03d}" for number in range(6)
    ]
    for cell in stored.cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}


def test_solutions_and_the_code_of_checks_are_collapsed_and_nothing_else(cells):
    assert [cell.metadata.get("jupyter") for cell in cells] == [
        None, None, None,
        {"source_hidden": True, "outputs_hidden": True},
        {"source_hidden": True},
    ]  # fmt: skip


def test_headline_picture_is_written_beside(folder, cells):
    png = cells[0].outputs[-1].data["image/png"]
    headline = (folder / "headline.png").read_bytes()
    assert headline == base64.b64decode(png)


def test_no_unfinished_file_is_left(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "07_build.ipynb",
        "07_build.py",
        "headline.png",
    ]


def test_run_writes_a_page_and_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "02_page.py"
    path.write_text("# %% [markdown]\n# # Read me\n\n# %%\nprint(6 * 7)\n")
    building.main(["run", str(path)])
    page = (tmp_path / "build" / "02_page.html").read_text()
    assert "Read me" in page
    assert "42" in page
    assert capsys.readouterr().out.startswith("1/1 02_page ... ")
    files = [p.name for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(files) == ["02_page.html", "02_page.py"]


def test_site_has_pages_whose_sliders_move_and_the_readme(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "07_build.py"
    path.write_text(SOURCE)
    path.with_name("headline.png").write_bytes(b"PNG")
    (tmp_path / "README.md").write_text(
        "# Front\n\n[7](notebooks/07_build.ipynb)"
    )
    building.main(["site", str(path)])
    site = tmp_path / "build" / "site"
    assert sorted(p.name for p in site.iterdir()) == [
        "07_build.html",
        "headline.png",
        "readme.html",
    ]
    page, readme = (
        BeautifulSoup((site / name).read_text(), "html.parser")
        for name in ("07_build.html", "readme.html")
    )
    assert len(page.find_all("input", type="range")) == 1
    assert len(page.select("section.explorer img")) == 2
    assert readme.find("a", href="07_build.html", string="7")


def test_a_notebook_that_fails_leaves_the_stored_one_alone(tmp_path):
    path = tmp_path / "03_fails.py"
    path.write_text("# %%\n1 / 0\n")
    path.with_suffix(".ipynb").write_text("as it was")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        building.main(["store", str(path)])
    assert path.with_suffix(".ipynb").read_text() == "as it was"
