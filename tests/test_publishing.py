"""Pages stand alone: nothing is fetched, links stay on the site."""

import nbformat
import pytest
from bs4 import BeautifulSoup

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
        ("[code](helpers/masking.py)", []),
        ("[away](https://keras.io)", ["https://keras.io"]),
    ],
)
def test_links_lead_to_pages_or_nowhere(text, target):
    shown = page(text)
    assert links(shown)[3:] == target
    assert text[1:5] in shown.find("main").text


def test_front_page_is_the_readme_without_badges():
    readme = (
        "# Title\n\n[![Open](https://a.b/badge.svg)](https://a.b)\n\n"
        "![A picture](notebooks/headline.png)\n\n"
        "| n |\n|---|\n| [01](notebooks/01_first.ipynb) |\n"
    )
    html = publishing.front_page(readme, PAGES)
    shown = BeautifulSoup(html, "html.parser")
    assert "badge" not in html
    assert [img["src"] for img in shown.find_all("img")] == ["headline.png"]
    assert shown.find("img")["alt"] == "A picture"
    assert links(shown)[3:] == ["01_first.html"]
    assert shown.find("table")


def test_titles_are_those_of_the_notebooks(tmp_path):
    titled, bare = tmp_path / "01_first.py", tmp_path / "02_bare.py"
    titled.write_text("# %% [markdown]\n# # 1. First\n#\n# ## Setup\n")
    bare.write_text("print()\n")
    assert publishing.titles([titled, bare]) == {
        "index": "Start",
        "01_first": "1. First",
        "02_bare": "02_bare",
    }


def test_a_page_has_a_language_a_title_and_fits_a_phone():
    shown = page("# 1. First")
    assert shown.find("html")["lang"] == "en"
    assert shown.find("title").text == "1. First"
    viewport = shown.find("meta", {"name": "viewport"})["content"]
    assert viewport.startswith("width=device-width")
