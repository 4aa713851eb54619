"""Pages of the series for readers without a kernel.

They hold all they need: no script, style or font is fetched from outside.
"""

import copy
import pathlib
import re

import nbformat
from nbconvert import HTMLExporter

HERE = pathlib.Path(__file__).parent
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)]*)\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\(notebooks/([^)]*)\)")
BADGE = re.compile(r"^\[!\[.*\n", re.MULTILINE)


def page(notebook, name, pages):
    """HTML of an executed notebook.

    Args:
        notebook: its cells with their outputs.
        name: of this page, without `.html`.
        pages: all pages of the series, from name to title, linked at the top.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(_relinked, cell.source)
    exporter = HTMLExporter(
        extra_template_basedirs=[str(HERE)], template_name="site"
    )
    notebook.metadata["title"] = pages[name]
    html, _ = exporter.from_notebook_node(
        notebook, {"metadata": {"name": name}, "pages": pages}
    )
    return html


def front_page(readme, pages):
    """HTML of the README: the page that people arrive at."""
    text = PICTURE.sub(r"![\1](\2)", BADGE.sub("", readme))
    cells = [nbformat.v4.new_markdown_cell(text, id="readme")]
    return page(nbformat.v4.new_notebook(cells=cells), "index", pages)


def titles(paths):
    """Pages of the series, from name to title, the front page first."""
    found = {"index": "Start"}
    for path in paths:
        title = re.search(
            r"^# # (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        found[path.stem] = title[1] if title else path.stem
    return found


def _relinked(match):
    """Links to notebooks lead to pages; other files are not on the site."""
    text, target = match.groups()
    name = pathlib.Path(target)
    if name.suffix == ".ipynb":
        return f"[{text}]({name.stem}.html)"
    return match[0] if name.suffix == ".png" else text
