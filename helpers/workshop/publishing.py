"""Pages of the series for readers without a kernel.

They hold all they need: no script, style or font is fetched from outside.
"""

import copy
import pathlib
import re

import jinja2
import nbformat
from IPython.core.interactiveshell import InteractiveShell
from nbconvert import HTMLExporter

from helpers.engine import pictures

HERE = pathlib.Path(__file__).parent
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)]*)\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\(notebooks/([^)]*)\)")
BADGE = re.compile(r"^\[!\[.*\n", re.MULTILINE)


def page(notebook, name, pages):
    """HTML of an executed notebook, the page `name` (without `.html`).

    `pages` are all of the series, from name to title, linked at the top.
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


def readme_page(readme, pages):
    """HTML of the README, a page of its own."""
    text = PICTURE.sub(r"![\1](\2)", BADGE.sub("", readme))
    cells = [nbformat.v4.new_markdown_cell(text, id="readme")]
    return page(nbformat.v4.new_notebook(cells=cells), "readme", pages)


def titles(paths):
    """Pages of the series, from name to title, the front page first."""
    found = {"index": "Start", "readme": "Read me"}
    for path in paths:
        text = path.read_text(encoding="utf-8")
        title = re.search(r"^# # (.*)$", text, re.MULTILINE)
        found[path.stem] = title[1] if title else path.stem
    return found


def move_sliders():
    """Make each explorer of this kernel bring the page of all its places."""
    formatters = InteractiveShell.instance().display_formatter.formatters
    formatters["text/html"].for_type("helpers.engine.explorer.Explorer", slider)


def slider(explorer):
    """HTML in which an explorer moves without a kernel.

    It holds the readings and pictures of every position of every choice.
    """
    states = {}
    for place in explorer.places:
        where, rest, pngs = explorer.at(place)
        shown = [pictures.as_text(pictures.small(png)) for png in pngs]
        states[place] = {"place": where, "rest": rest, "pictures": shown}
    text = (HERE / "site" / "explorer.html.j2").read_text(encoding="utf-8")
    template = jinja2.Template(text, autoescape=True)
    return template.render(
        explorer=explorer,
        states=list(states.values()),
        first=states[explorer.place],
    )


def _relinked(match):
    """Links to notebooks lead to pages; other files are not on the site."""
    text, target = match.groups()
    target, mark, section = target.partition("#")
    name = pathlib.Path(target)
    if name.suffix == ".ipynb":
        return f"[{text}]({name.stem}.html{mark}{section})"
    return match[0] if name.suffix == ".png" else text
