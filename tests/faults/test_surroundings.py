"""Other locales, time zones and folders, and no network."""

import os
import pathlib
import shutil
import subprocess
import sys
import venv

import pytest
import workload

ROOT = pathlib.Path(__file__).parents[2]
PLACES = {
    "Alaska": {"LC_ALL": "C.UTF-8", "TZ": "America/Anchorage"},
    "a day ahead, in ASCII": {
        "LC_ALL": "POSIX",
        "TZ": "Pacific/Kiritimati",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    },
}
BOTH = "import workload; print(workload.train()); print(workload.study())"
PAGE = """# %% [markdown]
# # 1. Größe, 数字
#
# > Wie groß?

# %%
print("Größe, 数字")

# %%
import numpy as np
from helpers import sliders
from helpers.engine import pictures

picture = pictures.RingAndImage(
    lambda ax: ax.plot([0.0, 0.5], [90, 80], label="größer"), (2, 2), "mask"
)
sliders.Explorer(
    [0.0, 0.5],
    lambda p: ({"accuracy": p}, np.full((2, 2), p)),
    picture.pngs,
    0.5,
)
"""


@pytest.fixture
def series(tmp_path):
    """A folder with one notebook, not to be read as ASCII."""
    return written(tmp_path / "series")


def written(folder):
    (folder / "notebooks").mkdir(parents=True)
    page = folder / "notebooks" / "01_page.py"
    page.write_text(PAGE, encoding="utf-8")
    page.with_name("headline.png").write_bytes(b"PNG")
    readme = "# Größe\n\n[数字](notebooks/01_page.ipynb)\n"
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return folder


def build(folder, **variables):
    """The bytes of what is built in a folder, by name."""
    for work in ("store", "site"):
        command = [sys.executable, "-m", "helpers.workshop.building", work]
        subprocess.run(
            [*command, "notebooks/01_page.py"],
            env=os.environ | {"PYTHONPATH": workload.PATH} | variables,
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
    files = [p for p in folder.rglob("*") if p.suffix in (".ipynb", ".html")]
    assert len(files) == 3
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("place", PLACES)
def test_work_is_the_same_everywhere(start, undisturbed, kept, capsys, place):
    process = start("-c", BOTH, **PLACES[place])
    out, err = process.communicate()
    assert err == ""
    assert out.endswith(f"\n{undisturbed('study')}\n")
    assert undisturbed("train") in out
    before, _ = kept(), capsys.readouterr()
    assert workload.train() == undisturbed("train")
    assert workload.study() == undisturbed("study")
    assert kept() == before
    assert "training" not in capsys.readouterr().out.split("test images")[1]


def test_pages_are_the_same_everywhere(series):
    first, second = (build(series, **PLACES[place]) for place in PLACES)
    assert first == second
    assert "Größe, 数字".encode() in first["01_page.html"]
    assert "数字</a>".encode() in first["readme.html"]


# A folder whose name has spaces and letters from elsewhere


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkout in such a folder, with its cache."""
    folder = written(tmp_path / "Gute Größe 数字 dir")
    shutil.copytree(ROOT / "helpers", folder / "helpers")
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    monkeypatch.delenv("PRUNING_CACHE_DIR")
    return folder


THERE = """
import pathlib, tempfile, numpy, workload
from helpers import datasets, deploying, networks
from helpers.workshop import running

def classes(path, x):  # größer
    from ai_edge_litert.interpreter import Interpreter
    return Interpreter(model_path=path).get_output_details()[0]["shape"]

tempfile.tempdir = str(pathlib.Path.cwd())
print(workload.train())
print(workload.study_in_parallel())
file = deploying.convert(networks.mlp())
print(deploying.run_alone(classes, file, numpy.zeros(1))[0])
row = {"seed": 1, "data": "Ziffern", "source": "größer"}
running.write(running.pd.DataFrame([row]), "Größe.csv", "make")
"""


def test_work_is_done_in_a_folder_of_any_name(folder, undisturbed):
    (folder / "there.py").write_text(THERE, encoding="utf-8")
    shutil.copy(workload.__file__, folder)
    done = subprocess.run(
        [sys.executable, "there.py"],
        env=os.environ | {"PYTHONPATH": str(folder)}, cwd=folder,
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert undisturbed("train") in done.stdout
    assert undisturbed("study") in done.stdout
    assert done.stdout.endswith("[ 1 10]\n")
    assert (folder / "Größe.csv").exists()
    (network,) = (folder / ".cache").glob("*-seed0-????????????")
    assert sorted(path.name for path in network.iterdir()) == workload.NETWORK


def test_make_works_in_a_folder_of_any_name(folder):
    """With an environment of its own, but the packages of this one."""
    venv.create(folder / ".venv", with_pip=True, symlinks=True)
    (packages,) = {p for p in sys.path if p.endswith("site-packages")}
    templates = str(pathlib.Path(sys.prefix, "share/jupyter"))
    borrowed = {"PYTHONPATH": packages, "JUPYTER_PATH": templates}
    pip = ["install", "--quiet", "--no-deps", "--no-build-isolation"]
    steps = [
        [".venv/bin/pip", *pip, "--no-index", "--editable", "."],
        ["touch", ".venv/ready"],
        ["make", "run", "NOTEBOOKS=notebooks/01_page.py"],
    ]
    for command in steps:
        done = subprocess.run(
            command, env=os.environ | borrowed, cwd=folder,
            capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    page = (folder / "build" / "01_page.html").read_text(encoding="utf-8")
    assert "Größe, 数字" in page


# The network


LOAD = """
import sys
from helpers import datasets
datasets.TIMEOUT = 5
print(datasets.load("mnist").is_sample, "keras" in sys.modules)
"""


def test_without_any_network_there_is_the_sample(start, tmp_path):
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("a network of its own is not allowed here")
    home = {"KERAS_HOME": str(tmp_path / "keras"), "PRUNING_DATA": ""}
    process = start("-c", LOAD, before=alone, **home)
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert "(the full data could not be downloaded)" in out
    assert out.endswith("True False\n")
