"""A Codespace without GitHub: its files read, its commands run.

`make codespace` runs this; it takes some minutes and 2 GB, and needs a
package index. The commands of devcontainer.json run as they are written, in a
fresh clone of what is committed and with an empty home, and then the first
notebook and JupyterLab run on what they left.

`conda.py` stands in for conda. So this proves that the pip part of
environment.yml installs, that commands and scripts fit each other and the
tree, and that what they install runs the notebook. It does not prove that the
image exists, that conda solves Python and pip, that a user who is not root
may write what is written, or what Codespaces and VS Code make of it all: the
job "codespace" of the GitHub workflow builds the container, and the rest
shows in a Codespace only.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import venv

import pytest
import requests
import websocket
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
CLI = "@devcontainers/cli@0.89.0"
CODESPACE = {"CODESPACES": "true", "CODESPACE_NAME": "new-hat-1x5"}
OWN = "https://new-hat-1x5-8888.app.github.dev"
FOREIGN = [
    "https://old-hat-1x5-8888.app.github.dev",
    "https://example.org",
]
TOKEN = "for this test on loopback only"
NOWHERE = "http://127.0.0.1:9"  # a proxy that is not there
SETTINGS = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())


def run(command, **options):
    """Run to the end; the output is shown where it fails."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"[-4000:]
    return done.stdout


def script(path, line):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def surroundings(home, programs, **variables):
    """The caller's environment without its Python, Jupyter and data."""
    ours = ("PYTHON", "JUPYTER", "JPY_", "PRUNING_", "KERAS_", "VIRTUAL_ENV",
            "CONDA", "COV_", "PYTEST", "CODESPACE")  # fmt: skip
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return kept | {"HOME": str(home), "PATH": path} | variables


# The files


@pytest.fixture
def npx():
    if shutil.which("npx") is None:
        if "CI" in os.environ:
            pytest.fail("there is no npx, and here there should be")
        pytest.skip("the official CLI needs Node.js: there is no npx")
    return shutil.which("npx")


def test_the_official_cli_reads_the_configuration(npx, tmp_path):
    script(tmp_path / "docker", '[ "$1" = ps ]')  # an engine without any
    user = os.environ.get("NPM_CONFIG_USERCONFIG", "~/.npmrc")
    variables = surroundings(
        tmp_path,
        tmp_path,
        NPM_CONFIG_CACHE=str(tmp_path / "npm"),
        NPM_CONFIG_USERCONFIG=os.path.expanduser(user),
    )
    command = [npx, "--yes", CLI, "read-configuration", "--workspace-folder"]
    read = run(
        [*command, ROOT, "--docker-path", tmp_path / "docker"], env=variables
    )
    found = json.loads(read)
    folder = found["workspace"]["workspaceFolder"]
    written = json.dumps(SETTINGS)
    written = written.replace("${containerWorkspaceFolder}", folder)
    found["configuration"].pop("configFilePath")
    assert found["configuration"] == json.loads(written)


def locked():
    """From package name to the version that the lock has for this machine."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(s.rstrip("\\ ")) for s in lines if re.match(r"\w", s)]
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def test_the_pip_part_resolves_to_the_lock(tmp_path):
    """To wheels only: nothing is built, and nothing else is wanted."""
    sys.path.insert(0, str(HERE))
    import conda

    venv.create(tmp_path / "venv", with_pip=True)
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(conda.pip_part(ROOT / "environment.yml"))
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    command = [tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet"]
    command += ["--dry-run", "--ignore-installed", "--only-binary=:all:"]
    command += ["--report", tmp_path / "report.json", "-r", wanted]
    run(command, env=surroundings(tmp_path, tmp_path))
    report = json.loads((tmp_path / "report.json").read_text())
    found = [entry["metadata"] for entry in report["install"]]
    assert {
        canonicalize_name(f["name"]): f["version"] for f in found
    } == locked()


# The commands


class Codespace:
    """A clone, an empty home and, at first, nothing but conda."""

    def __init__(self, folder):
        self.home, self.tree = folder / "home", folder / "tree"
        self.programs = folder / "opt/conda/bin"
        self.home.mkdir()
        script(
            self.programs / "conda",
            f"exec '{sys.executable}' '{HERE / 'conda.py'}' \"$@\"",
        )
        run(["git", "clone", "--quiet", ROOT, self.tree])

    def variables(self, **variables):
        return surroundings(self.home, self.programs, **variables)

    def run(self, command, **variables):
        """Run one of the commands as a devcontainer does."""
        options = {"cwd": self.tree, "env": self.variables(**variables)}
        return run(["/bin/sh", "-c", command], **options)


@pytest.fixture(scope="module")
def codespace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codespace")
    made = Codespace(folder)
    made.run(SETTINGS["onCreateCommand"])
    made.run(SETTINGS["updateContentCommand"])
    yield made
    shutil.rmtree(folder)  # 2 GB that pytest would keep


@pytest.fixture(scope="module")
def first_notebook(codespace):
    return (
        codespace.tree
        / SETTINGS["customizations"]["codespaces"]["openFiles"][0]
    )


def test_the_lock_and_the_package_are_installed(codespace):
    listed = codespace.run("./.conda/bin/python -m pip list --format=json")
    found = {canonicalize_name(p["name"]): p for p in json.loads(listed)}
    package = found.pop("pruning-notebooks")
    found.pop("pip")
    assert {name: p["version"] for name, p in found.items()} == locked()
    assert package["editable_project_location"] == str(codespace.tree)
    codespace.run("./.conda/bin/python -m pip check")


def test_an_update_of_the_content_needs_no_network(codespace):
    off = {"PIP_NO_INDEX": "1", "https_proxy": NOWHERE, "http_proxy": NOWHERE}
    codespace.run(SETTINGS["updateContentCommand"], **off)


def test_missing_data_are_tolerated(codespace):
    shown = codespace.run(SETTINGS["postCreateCommand"], https_proxy=NOWHERE)
    assert shown.count("the full data could not be downloaded") == 2


def test_git_sees_no_change_of_the_tree(codespace):
    assert codespace.run("git status --porcelain") == ""


def test_the_home_gets_the_settings_of_jupyter(codespace):
    name = "jupyter_server_config.py"
    copy = codespace.home / ".jupyter" / name
    assert copy.read_text() == (ROOT / ".devcontainer" / name).read_text()


def test_the_kernel_is_in_the_workspace(codespace):
    listed = codespace.run("jupyter kernelspec list --json")
    kernel = json.loads(listed)["kernelspecs"]["python3"]
    assert kernel["resource_dir"].startswith(str(codespace.tree / ".conda"))


def test_the_first_notebook_shows_what_is_stored(codespace, first_notebook):
    """On the sample: nothing here depends on a download."""
    shown = codespace.run(
        f"./.conda/bin/python -m pytest --nbval {first_notebook}",
        PRUNING_DATA="sample",
    )
    assert re.search(r"\b\d\d passed", shown)
    assert not re.search(r"failed|skipped|error", shown)


# JupyterLab


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(base, server, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            return requests.get(f"{base}/login", timeout=2).ok
        except requests.ConnectionError:
            time.sleep(0.2)
    return False


@pytest.fixture(scope="module")
def lab(codespace):
    """Where the codespace's JupyterLab answers."""
    port = free_port()
    command = ["jupyter", "lab", "--no-browser", f"--ServerApp.port={port}",
               "--ServerApp.port_retries=0"]  # fmt: skip
    if os.geteuid() == 0:  # as in many containers; never in the Codespace
        command += ["--allow-root"]
    variables = codespace.variables(JUPYTER_TOKEN=TOKEN, **CODESPACE)
    log = codespace.home / "lab.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            command, cwd=codespace.tree, env=variables, stderr=out, stdout=out
        )
    try:
        base = f"http://localhost:{port}"
        assert answers(base, server), log.read_text()
        yield base
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def reader(lab):
    """A browser that has opened JupyterLab with its token."""
    session = requests.Session()
    assert session.get(f"{lab}/lab", params={"token": TOKEN}).ok
    return session


def contents(reader, lab, **headers):
    return reader.get(f"{lab}/api/contents", headers=headers)


def test_the_reader_sees_the_notebooks(reader, lab):
    shown = contents(reader, lab, Origin=OWN)
    assert shown.status_code == 200
    assert "notebooks" in [entry["name"] for entry in shown.json()["content"]]


@pytest.mark.parametrize("origin", FOREIGN)
def test_no_other_page_reads_for_the_reader(reader, lab, origin):
    shown = contents(reader, lab, Origin=origin)
    assert shown.status_code in (403, 404)
    assert "content" not in shown.json()


@pytest.mark.parametrize("token", ["", "guessed"])
def test_nothing_is_shown_without_the_token(lab, token):
    headers = {"Authorization": f"token {token}"}
    assert contents(requests, lab, **headers).status_code == 403
    assert contents(requests, lab, Origin=OWN).status_code == 403


def test_nothing_is_changed_without_the_cookie_of_a_page(reader, lab):
    """The check against forged requests, which the token does not need."""
    forged = reader.post(f"{lab}/api/contents", headers={"Origin": OWN})
    assert forged.status_code == 403


def connect(reader, lab, origin):
    """Open the events of the server as a page from `origin` would."""
    cookies = "; ".join(f"{c.name}={c.value}" for c in reader.cookies)
    return websocket.create_connection(
        lab.replace("http:", "ws:") + "/api/events/subscribe",
        origin=origin,
        cookie=cookies,
        timeout=10,
    )


def test_the_kernels_of_the_codespace_answer_its_pages(reader, lab):
    connect(reader, lab, OWN).close()


@pytest.mark.parametrize("origin", FOREIGN)
def test_no_other_page_reaches_the_kernels(reader, lab, origin):
    with pytest.raises(websocket.WebSocketBadStatusException):
        connect(reader, lab, origin)
