"""What readers get besides the notebooks: links, pins, the Codespace, CI.

No test here needs a network, Docker or Node; those are in `codespace/`.
"""

import importlib.metadata
import json
import pathlib
import re
import subprocess
import sys
import tomllib
import types

import conftest
import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from traitlets.config.loader import PyFileConfigLoader

ROOT = pathlib.Path(__file__).parents[1]
DEVCONTAINER = ROOT / ".devcontainer"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MINORS = range(5, 40)  # of Python 3, as far as anybody knows
PLATFORMS = {
    "Linux": ("linux", "x86_64"),
    "Linux on ARM": ("linux", "aarch64"),
    "macOS": ("darwin", "arm64"),
    "Windows": ("win32", "AMD64"),
}


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def project():
    return tomllib.loads(text("pyproject.toml"))["project"]


def devcontainer():
    return json.loads(text(".devcontainer/devcontainer.json"))


def supported():
    """The supported minor versions of Python 3, oldest first."""
    versions = SpecifierSet(project()["requires-python"])
    return [minor for minor in MINORS if f"3.{minor}.0" in versions]


def tracked(*patterns):
    command = ["git", "ls-files", "-z", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git repository")
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).exists()]


# The README


def links():
    return re.findall(r"\]\(([^)\s]+)\)", text("README.md"))


def test_links_of_the_readme_point_to_files():
    inside = [link for link in links() if "://" not in link]
    assert inside
    missing = [p for p in inside if not (ROOT / p.split("#")[0]).exists()]
    assert missing == []


def test_commands_of_the_readme_exist():
    called = set(re.findall(r"(?:^|`)make ([a-z]+)", text("README.md"), re.M))
    assert len(called) >= 5
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.M))
    assert called <= targets


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    """And saves a network with the same outputs and half of the filters."""
    code = r"```python\n(import keras.*?)```"
    (example,) = re.findall(code, text("README.md"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(example, space)
    x = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    masked, small = (space[name](x) for name in ("pruned", "small"))
    assert np.abs(masked - small).max() <= 1e-5 * np.abs(masked).max()
    assert small.shape == (2, 10)
    assert (tmp_path / "small.keras").exists()
    assert space["small"].count_params() < space["model"].count_params() / 3


def test_the_badge_opens_this_repository():
    """A picker as long as `[project.urls]` names no repository to open."""
    home = project().get("urls", {}).get("Repository")
    opened = "https://github.com/codespaces/new"
    if home:
        owner_and_name = home.removeprefix("https://github.com/").strip("/")
        opened = f"https://codespaces.new/{owner_and_name}"
    badge = re.search(r"badge\.svg\)\]\(([^)]+)\)", text("README.md"))
    assert badge.group(1) == opened


# The supported versions of Python


def test_the_makefile_refuses_other_pythons():
    bounds = re.search(
        r"\(3, (\d+)\) <= sys\.version_info < \(3, (\d+)\)", text("Makefile")
    )
    oldest, after = (int(bound) for bound in bounds.groups())
    assert list(range(oldest, after)) == supported()


@pytest.mark.parametrize("path", ["README.md", "Makefile"])
def test_all_supported_pythons_are_named(path):
    *most, last = [f"3.{minor}" for minor in supported()]
    assert f"Python {', '.join(most)} or {last}" in text(path)


@pytest.mark.parametrize("missing", ["ensurepip", "venv"])
def test_the_makefile_names_what_a_python_lacks(tmp_path, missing):
    """One line, before anything is made; Debian's Python is like that."""
    (tmp_path / f"{missing}.py").write_text("raise ImportError")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    venv = tmp_path / "venv"
    make = ["make", "lab", f"PYTHON={python}", f"VENV={venv}"]
    done = subprocess.run(
        make, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode
    said, *rest = done.stderr.splitlines()
    assert "install them" in said
    assert len(rest) == 1  # make's own line
    assert not venv.exists()


def test_the_workflow_runs_the_oldest_and_the_newest_python():
    jobs = yaml.safe_load(text(".github/workflows/test.yml"))["jobs"]
    versions = jobs["test"]["strategy"]["matrix"]["python"]
    assert versions == [f"3.{supported()[i]}" for i in (0, -1)]


def test_the_lock_is_made_for_the_oldest_python():
    oldest = f"--python-version 3.{supported()[0]} "
    assert oldest in text("Makefile")
    assert oldest in text("requirements.lock").splitlines()[1]


# The lock


def pins():
    """The entries of requirements.lock: requirement and number of hashes."""
    lines = re.sub(r"^\s*#.*\n", "", text("requirements.lock"), flags=re.M)
    entries = re.split(r"\n(?=\S)", lines.strip())
    return [
        (Requirement(entry.split("\\")[0]), entry.count("--hash=sha256:"))
        for entry in entries
    ]


def test_every_pin_is_exact_and_has_hashes():
    for pin, num_hashes in pins():
        assert [s.operator for s in pin.specifier] == ["=="], pin
        assert num_hashes >= 1, pin


def test_the_lock_names_no_package_index():
    assert not re.search(r"^-|index-url|https?://", text("requirements.lock"))


def environment(platform, minor):
    system, machine = PLATFORMS[platform]
    return {
        "sys_platform": system,
        "platform_machine": machine,
        "platform_system": platform.split()[0].replace("macOS", "Darwin"),
        "os_name": "nt" if system == "win32" else "posix",
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.4",
        "extra": "",
    }


def locked(environment):
    """From package name to the version that is installed there."""
    chosen = [
        pin
        for pin, _ in pins()
        if pin.marker is None or pin.marker.evaluate(environment)
    ]
    versions = {canonicalize_name(p.name): p.specifier for p in chosen}
    assert len(versions) == len(chosen), "a package is pinned twice"
    return {name: str(spec)[2:] for name, spec in versions.items()}


@pytest.mark.parametrize("minor", supported())
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_lock_satisfies_the_project(platform, minor):
    here = environment(platform, minor)
    extras = project()["optional-dependencies"]
    wanted = [*project()["dependencies"], *extras["test"], *extras["cluster"]]
    versions = locked(here)
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(here):
            version = versions[canonicalize_name(requirement.name)]
            assert version in requirement.specifier, requirement


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_gpu_libraries_are_locked(platform):
    names = locked(environment(platform, supported()[-1]))
    assert [name for name in names if name.startswith("nvidia")] == []
    assert ("tensorflow-cpu" in names) == (platform == "Linux")


def test_the_lock_names_every_extra_that_its_packages_ask_for():
    """pip before 23.3 takes the newest release of `name[extra]` otherwise."""
    locked = {canonicalize_name(pin.name): pin.extras for pin, _ in pins()}
    asked = {
        (name, asked.name, extra)
        for distribution in importlib.metadata.distributions()
        if (name := canonicalize_name(distribution.name)) in locked
        for asked in map(Requirement, distribution.requires or ())
        if asked.marker is None
        or any(asked.marker.evaluate({"extra": e}) for e in {"", *locked[name]})
        for extra in asked.extras
    }
    assert asked
    missing = [a for a in asked if a[2] not in locked[canonicalize_name(a[1])]]
    assert missing == []


# environment.yml


def dependencies():
    return yaml.safe_load(text("environment.yml"))["dependencies"]


def test_conda_takes_nothing_from_the_default_channels():
    channels = yaml.safe_load(text("environment.yml"))["channels"]
    assert channels == ["conda-forge", "nodefaults"]


def test_conda_installs_a_supported_python_and_pip():
    python, pip, _ = dependencies()
    assert python in [f"python=3.{minor}" for minor in supported()]
    assert pip == "pip"  # or conda warns and picks one


def test_everything_else_in_conda_is_the_lock():
    # Hashes in the lock make pip refuse whatever has none.
    assert dependencies()[2:] == [{"pip": ["-r requirements.lock"]}]


# The Codespace


def test_the_devcontainer_has_these_settings_and_no_others():
    """No features, mounts, ports, privileges, and no misspelt key."""
    assert set(devcontainer()) == {
        "name", "build", "remoteUser", "hostRequirements", "onCreateCommand",
        "updateContentCommand", "postCreateCommand", "customizations",
    }  # fmt: skip


def test_the_image_is_pinned_by_version_and_digest():
    assert devcontainer()["build"] == {"dockerfile": "Dockerfile"}
    assert re.fullmatch(
        r"FROM mcr\.microsoft\.com/devcontainers/miniconda"
        r":\d+\.\d+\.\d+-3@sha256:[0-9a-f]{64}\n",
        text(".devcontainer/Dockerfile"),
    )


def test_nothing_runs_as_root():
    assert devcontainer()["remoteUser"] == "vscode"
    for path in DEVCONTAINER.iterdir():
        assert "sudo" not in path.read_text(), path.name


def test_prebuilds_keep_the_environment_but_not_the_package():
    """Prebuilds keep what onCreate did and repeat updateContent."""
    settings = devcontainer()
    script = re.fullmatch(r"bash (\S+)", settings["onCreateCommand"]).group(1)
    create = "conda env create --yes --file environment.yml --prefix ./.conda\n"
    assert create in text(script)
    assert "--editable" not in text(script)
    assert settings["updateContentCommand"] == (
        "./.conda/bin/python -m pip install "
        "--no-deps --no-build-isolation --editable ."
    )


def test_the_script_is_valid_and_stops_at_the_first_error():
    script = DEVCONTAINER / "on-create.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert "\nset -eu\n" in script.read_text()


def test_the_first_notebook_opens():
    opened = devcontainer()["customizations"]["codespaces"]["openFiles"]
    assert opened == ["notebooks/01_train_baseline.ipynb"]
    assert (ROOT / opened[0]).exists()


def test_no_script_is_fetched_for_widgets():
    """ "jupyter.widgetScriptSources" would name hosts; it is empty unset."""
    settings = devcontainer()["customizations"]["vscode"]["settings"]
    assert list(settings) == ["python.defaultInterpreterPath"]
    assert settings["python.defaultInterpreterPath"].endswith(
        "/.conda/bin/python"
    )


# JupyterLab in the Codespace


def jupyter_settings(monkeypatch, **variables):
    for name in ("CODESPACES", "CODESPACE_NAME",
                 "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    loader = PyFileConfigLoader("jupyter_server_config.py", str(DEVCONTAINER))
    return loader.load_config()


@pytest.fixture
def allowed(monkeypatch):
    """The origins that a codespace allows; Jupyter takes re.match."""
    settings = jupyter_settings(
        monkeypatch, CODESPACES="true", CODESPACE_NAME="new-hat-1x5"
    )
    assert list(settings) == ["ServerApp"]
    assert list(settings.ServerApp) == ["allow_origin_pat"]
    return re.compile(settings.ServerApp.allow_origin_pat)


def test_the_pages_of_the_codespace_are_allowed(allowed):
    assert allowed.match("https://new-hat-1x5-8888.app.github.dev")
    assert allowed.match("https://new-hat-1x5-40123.app.github.dev")


@pytest.mark.parametrize(
    "origin",
    [
        "http://new-hat-1x5-8888.app.github.dev",
        "https://old-hat-1x5-8888.app.github.dev",
        "https://another-new-hat-1x5-8888.app.github.dev",
        "https://new-hat-1x5-mine-8888.app.github.dev",
        "https://new-hat-1x5-8888.app.github.dev.example.org",
        "https://new-hat-1x5-8888.app.github.dev:8443",
        "https://new-hat-1x5-8888.appxgithub.dev",
        "https://new-hat-1x5-.app.github.dev",
        "https://example.org/https://new-hat-1x5-8888.app.github.dev",
        "https://example.org",
        "null",
        "",
    ],
)
def test_other_pages_are_not_allowed(allowed, origin):
    assert not allowed.match(origin)


def test_the_domain_of_forwarded_ports_may_change(monkeypatch):
    settings = jupyter_settings(
        monkeypatch,
        CODESPACES="true",
        CODESPACE_NAME="hat",
        GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN="ports.example.org",
    )
    allowed = re.compile(settings.ServerApp.allow_origin_pat)
    assert allowed.match("https://hat-8888.ports.example.org")
    assert not allowed.match("https://hat-8888.app.github.dev")


def test_nothing_is_allowed_outside_of_codespaces(monkeypatch):
    assert jupyter_settings(monkeypatch, CODESPACE_NAME="new-hat-1x5") == {}


# The workflows

every_workflow = pytest.mark.parametrize(
    "workflow", WORKFLOWS, ids=lambda path: path.stem
)


def jobs_of(workflow):
    return yaml.safe_load(workflow.read_text())["jobs"].values()


def steps_of(workflow):
    return [step for job in jobs_of(workflow) for step in job["steps"]]


@every_workflow
def test_actions_are_pinned_by_commit_and_say_their_version(workflow):
    uses = re.findall(r"\buses: (.+)", workflow.read_text())
    pinned = r"[\w/-]+@[0-9a-f]{40}  # v\d+(\.\d+)*"
    assert [use for use in uses if not re.fullmatch(pinned, use)] == []


def test_an_action_has_one_version():
    """The same in all workflows."""
    text = "".join(path.read_text() for path in WORKFLOWS)
    uses = set(re.findall(r"\buses: (.+)", text))
    assert len(uses) == len({use.split("@")[0] for use in uses})


PUBLISHING = {"pages": "write", "id-token": "write"}  # and no code to run


@every_workflow
def test_workflows_may_only_read(workflow):
    assert yaml.safe_load(workflow.read_text())["permissions"] == {}
    for job in jobs_of(workflow):
        assert job["permissions"] in ({"contents": "read"}, PUBLISHING)
        runs = [step["run"] for step in job["steps"] if "run" in step]
        assert job["permissions"] != PUBLISHING or runs == []


@every_workflow
def test_no_token_is_left_in_the_checkout(workflow):
    checkouts = [
        step["with"]["persist-credentials"]
        for step in steps_of(workflow)
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    assert not any(checkouts)


@every_workflow
def test_jobs_end_and_say_where_they_run(workflow):
    for job in jobs_of(workflow):
        assert 1 <= job["timeout-minutes"] <= 90
        assert not job["runs-on"].endswith("latest")


@every_workflow
def test_no_workflow_trusts_a_pull_request(workflow):
    content = workflow.read_text()
    assert "pull_request_target" not in content
    assert "secrets." not in content
    assert not re.search(r"run:.*\$\{\{ *github\.", content)


# What no reader should run

FORBIDDEN = {
    "Jupyter's checks": (
        r"allow.root|disable_check_xsrf|allow_origin\b|"
        r"allow_unauthenticated|token\s*=\s*['\"]{2}|--ip=0"
    ),
    "pickles": (
        r"allow_pickle=(?!False)|\b(cloud)?pickle\b|\bdill\b|joblib\.load"
    ),
    "unsafe models": r"safe_mode=|enable_unsafe|\.h5\b",
    "shells": (  # a program is run as a list of arguments, or not at all
        r"subprocess\.(?!run\(\s*\[)|os\.(system|popen|exec)|shell=|get_ipython"
    ),
    "code from text": r"(?<![.\w])(eval|exec)\(|yaml\.(unsafe_)?load\(",
    "unverified hosts": r"verify=False|CERT_NONE|unverified_context|http://",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_readers_run_is_free_of(what):
    read = tracked(
        "helpers/*.py",
        "helpers/*/*.py",
        "notebooks/*.py",
        ".devcontainer",
        "Makefile",
    )
    assert len(read) > 20
    found = [p.name for p in read if re.search(FORBIDDEN[what], p.read_text())]
    assert found == []


def test_large_folders_are_not_committed():
    assert {".conda/", ".venv/", ".cache/"} <= set(
        text(".gitignore").splitlines()
    )


# How the tests are run


@pytest.mark.parametrize(
    ("named", "ignored"),
    [
        ("tests/", True),
        ("tests/test_project.py", True),
        ("tests/other", True),
        ("tests/codespace", None),
        ("tests/codespace/test_codespace.py::test_it", None),
    ],
)
def test_a_folder_of_tests_runs_only_when_named(named, ignored):
    start = types.SimpleNamespace(dir=ROOT)
    config = types.SimpleNamespace(args=[named], invocation_params=start)
    folder = ROOT / "tests/codespace"
    assert conftest.pytest_ignore_collect(folder, config) is ignored
    assert conftest.pytest_ignore_collect(folder / "inner", config) is None
