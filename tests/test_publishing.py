"""Pages stand alone: nothing is fetched, links stay on the site."""

import base64
import io
import json

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from test_explorer import CHOICES, draw, plain
from test_explorer import look_with_choices as look

from helpers import sliders
from helpers.engine.explorer import Explorer
from helpers.workshop import publishing

PAGES = {"index": "Start", "01_first": "1. First", "02_next": "2. Next"}


def notebook(*texts):
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    return nbformat.v4.new_notebook(cells=cells)


def page(*texts):
    html = publishing.page(notebook(*texts), "01_first", PAGES)
    return BeautifulSoup(html, "html.parser")


def links(page):
    found = [a["href"] for a in page.find_all("a")]
    return [target for target in found if not target.startswith("#")]


def test_nothing_is_fetched_from_outside():
    shown = page("# 1. First")
    assert shown.find_all(["script", "img", "link", "iframe"], src=True) == []
    assert shown.find_all("link") == []
    assert "@import" not in str(shown)
    policy = shown.find("meta", {"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")
    assert "http" not in policy["content"]


def test_the_series_is_linked_and_the_page_itself_is_marked():
    shown = page("# 1. First")
    assert links(shown) == ["index.html", "01_first.html", "02_next.html"]
    marked = shown.find_all("a", {"aria-current": "page"})
    assert [a.text for a in marked] == ["1. First"]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("[next](02_next.ipynb)", ["02_next.html"]),
        ("[next](notebooks/02_next.ipynb)", ["02_next.html"]),
        ("[part](02_next.ipynb#Test-it)", ["02_next.html#Test-it"]),
        ("[code](helpers/masking.py)", []),
        ("[away](https://keras.io)", ["https://keras.io"]),
    ],
)
def test_links_lead_to_pages_or_nowhere(text, target):
    shown = page(text)
    assert links(shown)[3:] == target
    assert text[1:5] in shown.find("main").text


def test_the_readme_is_a_page_without_badges():
    readme = (
        "# Title\n\n[![Open](https://a.b/badge.svg)](https://a.b)\n\n"
        "![A picture](notebooks/headline.png)\n\n"
        "| n |\n|---|\n| [01](notebooks/01_first.ipynb) |\n"
    )
    html = publishing.readme_page(readme, {"readme": "Read me", **PAGES})
    shown = BeautifulSoup(html, "html.parser")
    assert "badge" not in html
    assert [img["src"] for img in shown.find_all("img")] == ["headline.png"]
    assert shown.find("img")["alt"] == "A picture"
    assert links(shown)[4:] == ["01_first.html"]
    assert shown.find("table")


def test_titles_are_those_of_the_notebooks(tmp_path):
    titled, bare = tmp_path / "01_first.py", tmp_path / "02_bare.py"
    titled.write_text("# %% [markdown]\n# # 1. First\n#\n# ## Setup\n")
    bare.write_text("print()\n")
    assert publishing.titles([titled, bare]) == {
        "index": "Start",
        "readme": "Read me",
        "01_first": "1. First",
        "02_bare": "02_bare",
    }


def test_a_page_has_a_language_a_title_and_fits_a_phone():
    shown = page("# 1. First")
    assert shown.find("html")["lang"] == "en"
    assert shown.find("title").text == "1. First"
    viewport = shown.find("meta", {"name": "viewport"})["content"]
    assert viewport.startswith("width=device-width")


# What is folded


def cell_of(source, output, *tags):
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})
    cell.outputs = [nbformat.v4.new_output("stream", text=output)]
    return cell


@pytest.fixture
def folded():
    cells = [
        cell_of("look()", "seen"),
        cell_of("solve()", "solved", "solution"),
        cell_of("visit()", "visited", "check", "nbval-ignore-output"),
    ]
    whole = nbformat.v4.new_notebook(cells=cells)
    html = publishing.page(whole, "01_first", PAGES)
    return BeautifulSoup(html, "html.parser").find("main")


def test_solutions_are_inside_and_of_checks_the_code(folded):
    solution, check = folded.find_all("details")
    assert solution.find("summary").text == "Solution"
    assert "solve()" in solution.text
    assert "solved" in solution.text
    assert check.find("summary").text == "Check"
    assert "visit()" in check.text
    assert "visited" not in check.text
    assert folded.text.index("visited") > folded.text.index("visit()")


def test_what_is_folded_is_closed_and_all_else_is_not_folded(folded):
    """By the browser: without a script, and by keyboard, too."""
    for details in folded.find_all("details"):
        assert not details.has_attr("open")
        assert details.find(recursive=False).name == "summary"
        details.decompose()
    assert "look()" in folded.text
    assert "seen" in folded.text


def test_a_prediction_is_a_question_with_its_answer_folded():
    asked = sliders.Prediction("How many are left?", 81.52)
    data = asked._repr_mimebundle_()
    data.pop("application/vnd.jupyter.widget-view+json")  # as it is stored
    cell = nbformat.v4.new_code_cell("ask()")
    cell.outputs = [nbformat.v4.new_output("execute_result", data)]
    whole = nbformat.v4.new_notebook(cells=[cell])
    html = publishing.page(whole, "01_first", PAGES)
    shown = BeautifulSoup(html, "html.parser").find("main")
    (details,) = shown.find_all("details")
    assert not details.has_attr("open")
    assert details.find("summary").text == "The answer"
    assert details.extract().text.endswith("≈ 81.5 %")
    assert "How many are left?" in shown.text
    assert "81.5" not in shown.text


# The page without a kernel


def page_of():
    positions = [0.0, 0.25, 0.5]
    shown = Explorer(positions, look, draw, 0.5, choices=CHOICES)
    shown.choices["data"].value = "clothes"
    return BeautifulSoup(publishing.slider(shown), "html.parser")


def states_of(page):
    return json.loads(page.find("script").text)


def test_page_holds_every_state_in_the_order_of_its_controls():
    states = states_of(page_of())
    assert len(states) == 2 * 3 * 3
    places = [plain(state["place"]) for state in states]
    assert places[:3] == ["sparsity 0.00", "sparsity 0.25", "sparsity 0.50"]
    assert "data digits · half 12.5 %" in plain(states[1 * 3]["rest"])
    assert "data clothes · half 25.0 %" in plain(states[3 * 3]["rest"])


def test_page_begins_with_what_the_widget_shows():
    page = page_of()
    slider = page.find("input", type="range")
    assert (slider["value"], slider["max"]) == ("2", "2")
    assert plain(slider["aria-valuetext"]) == "sparsity 0.50"
    checked = [a["value"] for a in page.find_all("input", checked=True)]
    assert checked == ["1", "0"]
    state = states_of(page)[3 * 3 + 2]
    shown = [a["src"].split(",")[1] for a in page.find_all("img")]
    assert shown == state["pictures"]
    assert "data clothes · half 25.0 %" in plain(page.find_all("img")[0]["alt"])


def test_pictures_of_a_page_are_those_of_the_widget():
    state = states_of(page_of())[0]
    images = [
        Image.open(io.BytesIO(base64.b64decode(png))).convert("L")
        for png in state["pictures"]
    ]
    assert [i.size for i in images] == [(3, 2), (2, 2)]


def test_nothing_of_a_page_comes_from_elsewhere():
    page = page_of()
    sources = [tag["src"] for tag in page.find_all(src=True)]
    assert all(source.startswith("data:") for source in sources)
    assert "http" not in page.find_all("script")[1].text


def test_text_of_a_page_is_no_html():
    evil = "</script><b onload=x>"
    readings = {"accuracy": 0.5, evil: evil}
    seen = readings, np.zeros((2, 2))
    shown = Explorer([0.5], lambda p: seen, draw, 0.5, label=evil)
    page = publishing.slider(shown)
    assert page.count("<b") == 1
    assert page.count("</script>") == 2
    assert evil in plain(
        states_of(BeautifulSoup(page, "html.parser"))[0]["rest"]
    )


@pytest.fixture
def shell():
    """What a kernel has one of."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_explorers_are_pages_where_they_are_told_to_be(shell):
    shown = Explorer([0.5], lambda p: look(p, "a", 1.0), draw, 0.5)
    assert "text/html" not in shell.display_formatter.format(shown)[0]
    publishing.move_sliders()
    assert "<section" in shell.display_formatter.format(shown)[0]["text/html"]
