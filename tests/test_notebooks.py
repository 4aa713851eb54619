"""What the comparison of outputs does not look at."""

import ast
import json
import pathlib
import re
import statistics

import jupytext
import nbformat
import pytest
from jupytext.compare import compare_notebooks

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
IGNORED = "nbval-ignore-output"
PRIVATE = re.compile(r"/(home|root|tmp|work)/| at 0x")
FOLDED = {"solution", "check"}
FORBIDDEN = (
    "sys.path", "!pip", "%matplotlib", "plt.show(", "filterwarnings",
    "# fmt: skip",
)  # fmt: skip
UNSAID = [r"\bWhoever\b", r"\bgrew from\b", r"\+-", r" -> ", r"\d x \d"]
ANATOMY = [
    r"# \d+\. \w+",
    r"> (.+\n> )*.*\?",
    r"\*\*You'll do\*\*",
    r"\*\*You'll need\*\*",
    r"## Move it yourself",
    r"## Your turn",
    r"## What would fool you here",
    r"## Recap",
    r"In this notebook, we saw:",
    r"\*\*In practice\*\*",
]

pytestmark = pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    cells = [c for c in read(path).cells if c.cell_type == "code"]
    return [cell for cell in cells if cell.source.strip()]


def prose(path):
    cells = read(path).cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


def tags(cell):
    return cell.metadata.get("tags", [])


def outputs(path):
    return [(cell, o) for cell in code_cells(path) for o in cell.outputs]


def visible(path):
    return [cell for cell in code_cells(path) if not FOLDED & set(tags(cell))]


def lines_in(cell):
    """Lines of code that a reader sees, without empty ones."""
    return [line for line in cell.source.splitlines() if line.strip()]


def calls(cell, *names):
    """Calls of these functions, such as "checking.claim"."""
    nodes = ast.walk(ast.parse(cell.source))
    found = [node for node in nodes if isinstance(node, ast.Call)]
    return [call for call in found if ast.unparse(call.func) in names]


def last_line(cell):
    """The last statement of a cell, however it is broken into lines."""
    return ast.unparse(ast.parse(cell.source).body[-1])


def text_of(output):
    """Everything of an output that is not a picture."""
    data = output.get("data", {})
    kept = [v for kind, v in data.items() if not kind.startswith("image/")]
    return output.get("text", "") + "\n".join(
        v if isinstance(v, str) else json.dumps(v) for v in kept
    )


def lines_of(path):
    return [line for _, o in outputs(path) for line in text_of(o).splitlines()]


# The stored file


def with_tags_only(path):
    """A notebook without the folding of cells, which .py files leave out."""
    notebook = jupytext.read(path)
    for cell in notebook.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k == "tags"}
    return notebook


def test_pair_is_in_sync(path):
    pair = with_tags_only(path), with_tags_only(path.with_suffix(".py"))
    compare_notebooks(*pair, fmt="py:percent", compare_outputs=False,
                      compare_ids=False)  # fmt: skip


def test_every_cell_was_executed_in_order(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_error_is_stored(path):
    for cell, output in outputs(path):
        if output.output_type == "error":
            assert "raises-exception" in tags(cell), output.evalue


def test_nothing_was_written_to_stderr(path):
    written = [o.text for _, o in outputs(path) if o.get("name") == "stderr"]
    assert written == []


def test_no_claim_fails_but_of_what_is_broken(path):
    failed = [line for line in lines_of(path) if line.startswith("FAIL")]
    assert [line for line in failed if "broken" not in line] == []


def test_nothing_of_the_machine_is_shown(path):
    assert [line for line in lines_of(path) if PRIVATE.search(line)] == []


def test_stored_outputs_come_from_the_full_data(path):
    loaded = [line for line in lines_of(path) if "validation, " in line]
    assert loaded
    images = [line for line in loaded if not line.startswith("synthetic:")]
    assert all("55,000 training" in line for line in images)


def test_no_widget_state_is_stored(path):
    assert "widgets" not in read(path).metadata


def test_file_is_under_a_megabyte(path):
    assert path.stat().st_size < 1_000_000


# What the strict test compares


def test_a_dozen_outputs_are_compared(path):
    compared = {
        cell.id for cell, _ in outputs(path) if IGNORED not in tags(cell)
    }
    assert len(compared) >= 12


def test_at_least_two_claims_are_compared(path):
    claims = [
        line
        for cell, output in outputs(path)
        if IGNORED not in tags(cell)
        for line in text_of(output).splitlines()
        if line.startswith("PASS  ")
    ]
    assert len(claims) >= 2


def test_no_cell_ends_in_a_semicolon(path):
    ends = [cell.source.rstrip()[-1] for cell in code_cells(path)]
    assert ";" not in ends


# How it reads


def test_anatomy_is_complete_and_in_order(path):
    found = [re.search(f"^{p}", prose(path), re.M) for p in ANATOMY]
    missing = [p for p, m in zip(ANATOMY, found, strict=True) if not m]
    assert missing == []
    starts = [match.start() for match in found]
    assert starts == sorted(starts)


def test_title_has_the_number_of_the_file(path):
    title = prose(path).splitlines()[0]
    assert title.startswith(f"# {int(path.stem[:2])}. ")


def test_there_is_one_title(path):
    assert len(re.findall(r"^# ", prose(path), re.M)) == 1


def test_no_formula_needs_a_script_to_be_read(path):
    assert "$" not in prose(path)


def test_cells_are_few_and_short(path):
    sizes = [len(lines_in(cell)) for cell in visible(path)]
    assert 12 <= len(sizes) <= 22
    assert statistics.median(sizes) <= 6
    assert max(sizes) <= 15


def test_claims_are_a_small_part_of_what_is_seen(path):
    names = "checking.claim", "checking.same_outputs"
    claims = [c for cell in visible(path) for c in calls(cell, *names)]
    lines = sum(c.end_lineno - c.lineno + 1 for c in claims)
    assert lines <= 0.08 * sum(len(lines_in(cell)) for cell in visible(path))


def test_claims_show_what_was_measured(path):
    bounds = {"below", "above", "within"}
    claims = [c for x in code_cells(path) for c in calls(x, "checking.claim")]
    bare = [c for c in claims if not bounds & {k.arg for k in c.keywords}]
    assert [ast.unparse(call) for call in bare] == []


def test_there_are_twice_as_many_figures_as_tables(path):
    shown = [output.get("data", {}) for _, output in outputs(path)]
    figures = sum("image/png" in data for data in shown)
    tables = sum("<table" in data.get("text/html", "") for data in shown)
    assert figures >= 2 * tables


def test_readers_commit_to_predictions_of_what_is_measured(path):
    asked = [
        c for cell in visible(path) for c in calls(cell, "sliders.Prediction")
    ]
    assert len(asked) >= 2
    for call in asked:
        answers = [k.value for k in call.keywords if k.arg == "answer"]
        (answer,) = answers or call.args[1:2]
        assert not isinstance(answer, ast.Constant), ast.unparse(call)


def test_at_most_two_functions_are_defined(path):
    source = "\n".join(cell.source for cell in code_cells(path))
    assert len(re.findall(r"^\s*def ", source, re.M)) <= 2


def test_helpers_are_imported_once(path):
    source = "\n".join(cell.source for cell in code_cells(path))
    assert len(re.findall(r"^\s*from helpers\b", source, re.M)) == 1
    assert len(re.findall(r"^from helpers import", source, re.M)) == 1
    assert not re.search(r"^\s*import helpers|import \*", source, re.M)


def test_nothing_of_the_plumbing_is_shown(path):
    source = "\n".join(cell.source for cell in code_cells(path))
    assert [word for word in FORBIDDEN if word in source] == []


def test_exercises_have_a_cell_to_work_in_and_a_folded_solution(path):
    """Both are judged; a solution says its answer, too."""
    cells = [c for c in code_cells(path) if calls(c, "checking.answer")]
    empty = [c for c in cells if "answer = ..." in c.source]
    solved = [c for c in code_cells(path) if "solution" in tags(c)]
    assert 2 <= len(empty) == len(solved) <= 3
    assert all(not FOLDED & set(tags(cell)) for cell in empty)
    for cell in (*empty, *solved):
        assert last_line(cell).startswith("checking.answer("), cell.source
    for cell in solved:
        assert calls(cell, "print"), cell.source


def test_all_places_of_the_slider_are_visited_at_the_end(path):
    if any(calls(c, "sliders.explore") for c in code_cells(path)):
        last = code_cells(path)[-1]
        assert last.source.strip() == "explorer.visit()"
        assert tags(last) == ["check"]


# The language


def bare(text):
    """Text in lower case, without marks and without targets of links."""
    text = re.sub(r"\]\([^)]*\)", "", text)
    return " ".join(re.findall(r"\w+", text.lower()))


def test_prose_has_none_of_what_the_series_does_not_say(path):
    text = re.sub(r"```[\s\S]*?```|`[^`]*`", "_", prose(path))
    assert [p for p in UNSAID if re.search(p, text)] == []


def test_the_last_line_asks_what_the_next_notebook_asks(path):
    *_, last = prose(path).rstrip().split("\n\n")
    later = PATHS[PATHS.index(path) + 1 :]
    if not later:
        assert not last.startswith("Next")
        return
    assert last.startswith("Next")
    question = re.search(r"^> .*(?:\n> .*)*", prose(later[0]), re.M)[0]
    assert bare(question) in bare(last)
