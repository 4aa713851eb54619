"""A real JupyterLab on loopback and a real Chromium, one of each for all.

Nothing of the reader's is touched: the server has a home of its own, a token
of its own, and serves a copy of the notebooks. No page may ask any host but
this one.
"""

import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import psutil
import pytest

from helpers.workshop import building

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "browser"
CACHE = ROOT / "build" / "browser-cache"
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
OVERRIDES = {  # no news, every cell in the page, nothing written back
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
EXECUTED = r"""() => {
  if (document.querySelector('[data-mime-type$="jupyter.error"]')) return true;
  const light = document.querySelector('.jp-Notebook-ExecutionIndicator');
  // In place of its number, a folded cell has an empty prompt.
  const prompts = document.querySelectorAll('.jp-CodeCell .jp-InputPrompt');
  const shown = [...prompts].map(p => p.textContent.trim()).filter(Boolean);
  return light.dataset.status === 'idle' && /\[\d+\]/.test(shown.at(-1));
}"""


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address, token and folder of a JupyterLab on a free port."""
    home = tmp_path_factory.mktemp("jupyter")
    folder = shutil.copytree(ROOT / "notebooks", home / "notebooks")
    (home / "app").mkdir()
    (home / "app" / "overrides.json").write_text(json.dumps(OVERRIDES))
    token, port = secrets.token_urlsafe(24), _free_port()
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            _command(folder, home, port), cwd=folder, env=_own(home, token),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(server, address, token, home / "server.log")
        yield address, token, folder
    finally:
        _stop(server)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _command(folder, home, port):
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}",
        "--ServerApp.terminals_enabled=False",
        f"--LabApp.app_settings_dir={home / 'app'}", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    return command + ["--allow-root"] * (os.geteuid() == 0)


def _own(home, token):
    """The environment of a server that knows nothing of the user's."""
    names = ("JUPYTER", "JPY_", "PRUNING_", "MPL")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(names)}
    folders = {
        f"JUPYTER_{name}_DIR": str(home / name.lower())
        for name in ("CONFIG", "DATA", "RUNTIME")
    } | {
        f"JUPYTERLAB_{name}_DIR": str(home / name.lower())
        for name in ("SETTINGS", "WORKSPACES")
    }
    return (
        kept
        | folders
        | {
            "HOME": str(home),
            "JUPYTER_TOKEN": token,  # not on the command line, where all see it
            "IPYTHONDIR": str(home / "ipython"),
            "MPLCONFIGDIR": str(home / "matplotlib"),
            "PRUNING_DATA": "sample",
            "PRUNING_CACHE_DIR": str(CACHE),
        }
    )


def _wait_for(server, address, token, log, seconds=90):
    header = {"Authorization": f"token {token}"}
    request = urllib.request.Request(f"{address}/api/status", headers=header)
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(request, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


def _stop(server):
    """End the server, which ends its kernels, and whatever is left."""
    family = []
    if server.poll() is None:
        family = psutil.Process(server.pid).children(recursive=True)
    server.terminate()
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    for process in psutil.wait_procs(family, timeout=5)[1]:
        process.kill()


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium; without one the tests are skipped, in CI not."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None and "CI" not in os.environ:
        pytest.skip("no Chromium here: install it, or set CHROMIUM to its path")
    assert program, "CI needs Chromium: apt-get install chromium"
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] * (os.geteuid() == 0)  # refused to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=FLAGS + sandbox
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, request):
    """A function that opens a page of a width; it may ask loopback only."""
    contexts, outside = [], []

    def only_loopback(route):
        if route.request.url.startswith(("http://127.0.0.1", "blob:", "data:")):
            return route.continue_()
        outside.append(route.request.url)
        return route.abort()

    def opened(width=1280):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        contexts.append(context)
        context.route("**/*", only_loopback)
        page = context.new_page()
        page.set_default_timeout(30_000)
        return page

    yield opened
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", request.node.name).strip("_")
    for number, context in enumerate(contexts):
        for page in context.pages:
            page.screenshot(path=SCREENSHOTS / f"{name}_{number}.png")
        context.close()
    assert outside == [], f"asked from outside: {sorted(set(outside))}"


@pytest.fixture
def show(lab, open_page):
    """A function that opens a notebook in JupyterLab, as it is stored."""

    def shown(name, width=1280):
        address, token, _ = lab
        page = open_page(width)
        page.goto(f"{address}/doc/tree/{name}?token={token}&reset")
        page.locator(".jp-Notebook").wait_for()
        return page

    return shown


@pytest.fixture
def run(show):
    """A function that opens a notebook, runs all of it and returns its page."""

    def executed(name, width=1280, seconds=600):
        page = show(name, width=1280)
        # Before its kernel answers, a notebook ignores that it is to be run.
        bar = page.locator("#jp-main-statusbar")
        bar.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=120_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_function(EXECUTED, timeout=1000 * seconds)
        errors = page.locator('[data-mime-type$="jupyter.error"]')
        assert errors.all_inner_texts() == []
        page.set_viewport_size({"width": width, "height": 900})
        return page

    return executed


@pytest.fixture
def write(lab):
    """A function that writes cells of code as a notebook for JupyterLab."""

    def written(name, *cells):
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata=building.METADATA,
        )
        nbformat.write(notebook, lab[2] / name)
        return name

    return written
