"""Numbers in the text are those that the outputs show, to the digits written.

A notebook's text is compared with its stored outputs and with what its code
sets; the README's with the outputs of all notebooks and the benchmarks' file.
Words ("half"), small counts without a unit, and what `NO_RESULTS` takes out are
not looked at.
"""

import pathlib
import re
import typing

import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = pathlib.Path(__file__).parents[1]
PATHS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
BENCHMARKS = ROOT / "notebooks" / "results" / "benchmarks.json"

# Numbers that no output shows, as they are written, and why they may stand:
# by the notebook's name ("02", "README"), or "*" for everywhere.
ALLOWED = {
    ("*", "95 %"): "the level of every interval",
}

PLAIN = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
SEVERAL = rf"{PLAIN}(?:(?:, and | and | to | or |, ){PLAIN})*"
NO_RESULTS = re.compile(
    "|".join(
        [
            r"^```[\s\S]*?^```",
            r"`[^`]*`",
            r"!?\[[^\]]*\]\([^)]*\)",  # whose number it is, stands behind it
            r"https?://\S+",
            r"^#+ .*$",
            r"^\*\*You'll need\*\*[\s\S]*?(?=\n\n|\Z)",  # minutes
            rf"\b(?:[Nn]otebooks?|Exercise|Python|Keras|seed) {SEVERAL}",
            r"\b[A-Za-z]\w*-\d[-\d]*",  # LeNet-300-100
            r"\b\d+(?:(?: [x×] \d+)+|(?:-\d+){2,})",  # 28 × 28, 784-300-10
            rf"(?<!-)[<>≤≥] {PLAIN}",  # p < 0.001
            r"(?<![\d,.])(?:19|20)\d\d(?!\d|[,.]\d)",  # years have no comma
        ]
    ),
    re.M,
)
NUMBER = re.compile(
    rf"(?<![\w.,])({PLAIN}(?:e[-+]?\d+)?)(?!\d|[.,]\d|(?:st|nd|rd|th)\b)"
)
COUNTED = range(11)  # without a unit these are counting words
UNITS = {"%": 1, "point": 1, "points": 1, "times": 1, "×": 1, "ms": 1,
         "kB": 1e-3, "MB": 1e-6, "million": 1e-6}  # fmt: skip
UNIT = re.compile(  # of the last of several, such as [0.5, 1.5] points
    rf"(?:,? (?:(?:to|and|or) )?[-+−±\[]*{PLAIN}|\])* "
    rf"({'|'.join(UNITS)})(?!\w)"
)
FRACTIONS = ("%", "point", "points", None)  # 81.5 % may be shown as 0.815
PROGRESS = re.compile(r"^.*\d%\|.*$", re.M)


class Number(typing.NamedTuple):
    """As it is written, its unit or None, and the sentence around it."""

    written: str
    unit: str | None
    sentence: str

    @property
    def name(self):
        return f"{self.written} {self.unit}" if self.unit else self.written

    def is_result(self):
        return self.unit or self.written not in map(str, COUNTED)

    def is_one_of(self, shown):
        """Whether one of `shown` rounds to it; words tell the sign."""
        value = float(self.written.replace(",", ""))
        half = 0.5 * last_place(self.written) * (1 + 1e-9)
        as_shown = {n * UNITS.get(self.unit, 1) for n in shown} | shown
        if self.unit in FRACTIONS:
            as_shown |= {100 * number for number in shown if number <= 1}
        return any(abs(number - value) <= half for number in as_shown)


def last_place(written):
    """What a 1 there is worth: 0.1 in 98.9, and 1,000 in 238,000."""
    digits, _, power = written.replace(",", "").partition("e")
    whole, _, decimals = digits.partition(".")
    zeros = len(whole) - max(len(whole.rstrip("0")), 3)
    place = -len(decimals) if decimals else max(zeros, 0)
    return 10.0 ** (place + int(power or 0))


def numbers_in(text):
    return {float(n.replace(",", "")) for n in NUMBER.findall(text)}


# What is written


def results(text):
    """The numbers of a text that are looked for."""
    text = NO_RESULTS.sub("_", text)
    for sentence in re.split(r"\n\n|\n *[-|]|(?<=[.?!])\s", text):
        sentence = " ".join(sentence.split())
        for match in NUMBER.finditer(sentence):
            unit = UNIT.match(sentence, match.end())
            found = Number(match[1], unit and unit[1], sentence)
            if found.is_result():
                yield found


# What is shown


def text_of(output):
    """What a reader can read of an output, without progress bars."""
    data = output.get("data", {})
    if "text/html" in data:
        html = BeautifulSoup(data["text/html"], "html.parser")
        for style in html.find_all("style"):
            style.decompose()
        return html.get_text(" ")
    if "image/png" in data:  # the text beside it names an object of Python
        return ""
    text = output.get("text", "") + data.get("text/plain", "")
    return PROGRESS.sub("", text)


def shown_by(notebook):
    """Numbers of all outputs, and those that the code sets.

    What is kept is said of a code's 0.9, too: 10 %.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = set()
    for cell in cells:
        for output in cell.outputs:
            found |= numbers_in(text_of(output))
        code = re.sub(r"#.*|(?<=\d)_(?=\d)", "", cell.source)
        fractions = {n for n in numbers_in(code) if 0 < n < 1}
        found |= numbers_in(code) | {1 - number for number in fractions}
    return found


def prose(notebook):
    cells = notebook.cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


def unfounded(name, text, shown):
    """The numbers of a text that nothing shows, a line for each."""
    return [
        f"{number.name:>12}  in: {number.sentence}"
        for number in results(text)
        if not number.is_one_of(shown)
        and not {(name, number.name), ("*", number.name)} & set(ALLOWED)
    ]


def require_none(found):
    """Fail with all of them, a line each."""
    if found:
        listed = "\n".join(found)
        pytest.fail(f"no output shows these numbers:\n{listed}", pytrace=False)


# The series


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_number_of_the_text_is_shown(path):
    notebook = nbformat.read(path, as_version=4)
    shown = shown_by(notebook)
    found = unfounded(path.stem[:2], prose(notebook), shown)
    require_none(found)


def test_every_number_of_the_readme_is_shown_somewhere():
    notebooks = [nbformat.read(path, as_version=4) for path in PATHS]
    shown = set().union(*map(shown_by, notebooks))
    if BENCHMARKS.exists():
        shown |= numbers_in(BENCHMARKS.read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = unfounded("README", text, shown)
    require_none(found)


# The glossary and the references, in the last notebook

GLOSSARY = ROOT / "notebooks" / "15_what_is_real.ipynb"
FRAME = re.compile(
    r"You'll (do|need)|In practice|Exercise|Before you publish|\d+\.$"
)
FIXED = """sparsity, density, compression, pruning fraction, round, mask, score,
    layerwise, global, structured, unstructured, unit, neuron, filter, one-shot,
    gradual, fine-tuning, recovery, rewind, compaction, baseline, control,
    random baseline, seed, band, kernel, logits, LiteRT, CSR, Holm's method"""
PAPERS = re.compile(
    r"\]\((https://(?:arxiv\.org/abs|doi\.org|www\.jstor\.org"
    r"|openaccess\.thecvf\.com|proceedings\.neurips\.cc)/[^)\s]+)\)"
)


def texts_of_all():
    """The prose of each notebook, by path."""
    return {p: prose(nbformat.read(p, as_version=4)) for p in PATHS}


def section(title):
    """What the last notebook says below a heading."""
    text = texts_of_all()[GLOSSARY].split(f"\n## {title}\n")[1]
    return text.split("\n## ")[0]


def bold(text):
    """What is printed in bold, to a comma; the words of the frame are not."""
    found = re.findall(r"\*\*([^*,]+)[^*]*\*\*", text)
    terms = {" ".join(term.lower().split()) for term in found}
    return {t for t in terms if not FRAME.match(t.capitalize())}


def anchors(text):
    """Of all headings, as Jupyter makes them."""
    return {h.replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}


def test_every_term_is_in_the_glossary():
    """Those in bold in any notebook, in any number, and those of the style."""
    known = bold(section("Glossary"))
    used = set().union(*map(bold, texts_of_all().values()))
    used |= {" ".join(term.lower().split()) for term in FIXED.split(",")}
    absent = [
        term
        for term in sorted(used)
        if not any(k.startswith(term.removesuffix("s")) for k in known)
    ]
    assert absent == []


def test_every_term_of_the_glossary_leads_to_a_section():
    by_name = {path.name: text for path, text in texts_of_all().items()}
    entries = section("Glossary").split("\n- ")[1:]
    assert len(entries) > 60
    for entry in entries:
        name, anchor = re.search(r"\]\(([^)#]*)#([^)]*)\)", entry).groups()
        assert anchor in anchors(by_name[name or GLOSSARY.name]), entry


def test_terms_of_the_glossary_are_in_order():
    entries = section("Glossary").split("\n- ")[1:]
    terms = [entry.replace("*", "").lower() for entry in entries]
    assert terms == sorted(terms)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_notebook_leads_to_the_glossary(path):
    if path != GLOSSARY:
        link = f"({GLOSSARY.name}#Glossary)"
        assert link in texts_of_all()[path]


def test_the_references_are_those_that_the_notebooks_cite():
    listed = section("References")
    cited = "\n".join(texts_of_all().values()).replace(listed, "")
    assert set(PAPERS.findall(listed)) == set(PAPERS.findall(cited))


def test_what_is_allowed_is_short_and_written_somewhere():
    assert len(ALLOWED) <= 30
    texts = {"README": (ROOT / "README.md").read_text(encoding="utf-8")}
    for path in PATHS:
        texts[path.stem[:2]] = prose(nbformat.read(path, as_version=4))
    for (name, number), reason in ALLOWED.items():
        where = texts.values() if name == "*" else [texts[name]]
        assert any(number == n.name for t in where for n in results(t)), number
        assert len(reason.split()) > 2


# The test itself


def tiny(text, output="", code=""):
    """A notebook of a text and one output."""
    cell = nbformat.v4.new_code_cell(code)
    cell.outputs = [nbformat.v4.new_output("stream", text=output)]
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(text), cell]
    )


def names_of(text, output="", code=""):
    """The numbers of a tiny notebook's text that it does not show."""
    notebook = tiny(text, output, code)
    found = unfounded("00", prose(notebook), shown_by(notebook))
    return [line.split("  in: ")[0].strip() for line in found]


# What the notebook on filters showed when its text had become stale.
TABLES = """
      conv_1  conv_2  hidden_1                  pruned  retrained  control
0.00    90.5    90.5      90.5   mnist           81.52      98.97    99.20
0.50    71.8    77.6      89.8   fashion_mnist   51.87      88.45    90.37
points lost  18.7  12.9  0.7     points behind    0.23       1.92
training: 100%|█████| 85.7/98.9 [00:10<00:18, 55.5s/it, 88.6 %, 1.8, 11]
"""
STALE = """
Half of `conv_1` costs 18 points, half of `conv_2` 11, half of `hidden_1` less
than one. On digits retraining brings 85.7 % back to 98.9 %, 0.2 points below
the control; on clothes 55.5 % to 88.6 %, 1.8 points below.
"""


def test_the_stale_numbers_of_the_filters_are_found():
    assert names_of(STALE, TABLES) == [
        "18 points", "11", "85.7 %", "98.9 %", "55.5 %", "88.6 %", "1.8 points",
    ]  # fmt: skip
    was = ["18", "11", "85.7", "98.9", "55.5", "88.6", "1.8"]
    now = ["19", "13", "81.5", "99.0", "51.9", "88.5", "1.9"]
    true = STALE
    for stale, number in zip(was, now, strict=True):
        true = true.replace(f" {stale} ", f" {number} ")
        true = true.replace(f" {stale},", f" {number},")
    assert names_of(true, TABLES) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("81.5 %", "81.52"),
        ("81.5 %", "0.8152"),
        ("81.5 %", "accuracy 81.5%"),
        ("82 %", "81.52"),
        ("1.9 points", "0.0192"),
        ("−0.3 points", "-0.31"),
        ("0.3 points below", "[-0.31, 0.1]"),
        ("238,400", "238400"),
        ("238,000", "238400"),
        ("2.4 million", "2,386,000"),
        ("9.6 MB", "9584120 bytes"),
        ("3.5 times", "3.5x"),
        ("[0.5, 1.5] points", "0.0051 0.0149"),
        ("from 85 to 99 %", "0.851 0.993"),
        ("1e-5", "1e-05"),
        ("11", "11"),
    ],
)
def test_a_number_is_found_as_it_is_rounded(text, shown):
    assert names_of(text, shown) == []
    assert names_of(text, "12345678.9") != []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("81.5 %", "81.44 81.56 82 8.15 815 0.0815"),
        ("18 points", "18.7 0.187"),
        ("300 steps", "3 0.3"),
        ("2,384,000", "2.384 2,386,000"),
        ("3 points", "2.4 3.6"),
        ("8 times", "conv_8 int8 1.8"),
        ("0.15", "1.5 0.1 0.2"),
        ("9.6 MB", "960000 9.5 96"),
    ],
)
def test_a_number_that_is_something_else_is_not_found(text, shown):
    assert len(names_of(text, shown)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Two of 3 layers, and 10 units.",
        "See notebooks 14, 15 and 16, or [13, with 99 %](13_x.ipynb).",
        "[Li et al., 2017](https://arxiv.org/abs/1608.08710), in 1989",
        "Images of 28 × 28 in LeNet-300-100, which is 784-300-100-10.",
        "`round(0.123)` and `int16`",
        "```\nprint(99)\n```",
        "## 99 bottles",
        "**You'll need**: 25 minutes,\nor 30.",
        "the 99th percentile, p < 0.001, Keras 3.15, Python 3.11, 3.12 or 3.13",
        "version 2.21.0",
        "**Exercise 12.**",
        "half, a third, twenty",
    ],
)
def test_what_is_no_result_is_not_looked_for(text):
    assert names_of(text) == []


def test_what_the_code_sets_is_shown_and_so_is_what_it_leaves():
    code = "masks = masking.masks(scores, 0.9)  # 77 %\nsteps = 2_000"
    assert names_of("2,000 steps, 90 % gone, 10 % left", code=code) == []
    assert names_of("77 %", code=code) == ["77 %"]


def test_a_table_is_read_and_its_style_is_not():
    notebook = tiny("81 % and 99 %")
    html = "<style>p {width: 99%}</style><table><td>0.81</td></table>"
    data = {"text/html": html, "text/plain": "99"}
    output = nbformat.v4.new_output("execute_result", data)
    notebook.cells[1].outputs = [output]
    assert shown_by(notebook) == {0.81}


def test_what_python_calls_a_figure_is_not_shown_by_it():
    notebook = tiny("99 %")
    data = {"image/png": "", "text/plain": "<Axes: xlabel='99'>"}
    output = nbformat.v4.new_output("display_data", data)
    notebook.cells[1].outputs = [output]
    assert shown_by(notebook) == set()
