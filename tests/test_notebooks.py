"""What the comparison of outputs does not look at."""

import json
import pathlib
import re

import jupytext
import nbformat
import pytest
from jupytext.compare import compare_notebooks

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
IGNORED = "nbval-ignore-output"
PRIVATE = re.compile(r"/(home|root|tmp|work)/| at 0x")
FORBIDDEN = ("sys.path", "!pip", "%matplotlib", "plt.show(", "filterwarnings")
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


def test_no_claim_fails_but_controls(path):
    failed = [line for line in lines_of(path) if line.startswith("FAIL")]
    assert [line for line in failed if "control" not in line] == []


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


def test_cells_are_short(path):
    sizes = [len(cell.source.splitlines()) for cell in code_cells(path)]
    assert max(sizes) <= 20


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


def test_exercises_have_solutions_that_are_judged(path):
    solutions = [c.source for c in code_cells(path) if "solution" in tags(c)]
    assert len(solutions) >= 2
    assert all("checking." in source for source in solutions)
