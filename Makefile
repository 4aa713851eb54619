# The newcomer's two commands are `make lab` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
NOTEBOOKS := $(wildcard notebooks/[0-9][0-9]_*.py)
# The strict test starts with what takes longest, so that none is left alone.
LONGEST := 11 12 15 04 09 13 07 14 10 05 08 03 02
FIRST := $(foreach number,$(LONGEST),$(wildcard notebooks/$(number)_*.ipynb))
SERIES := $(FIRST) $(filter-out $(FIRST),$(wildcard notebooks/[0-9][0-9]_*.ipynb))
STRICT := TF_NUM_INTRAOP_THREADS=1 $(BIN)/pytest --nbval $(SERIES) -n 2 --no-loadscope-reorder
# In CI, more examples, and how much of the helpers they reach.
IN_CI := $(if $(CI),--hypothesis-profile=ci --cov=helpers --cov-fail-under=95)
# A commit draws its own examples, and the same ones again.
SEED := $(shell printf '%d' 0x0$$(git rev-parse --short=7 HEAD 2>/dev/null))

.PHONY: lab run site test full alone browser faults codespace deep bench \
	notebooks study sync lint lock old-pip clean

lab: $(VENV)/ready  ## open the series in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

run: $(VENV)/ready  ## execute the series, leave readable pages in build/
	$(BIN)/python -m helpers.workshop.building run $(NOTEBOOKS)

site: $(VENV)/ready  ## pages whose sliders move without a kernel, in build/site/
	$(BIN)/python -m helpers.workshop.building site $(NOTEBOOKS)
	$(BIN)/python -m helpers.workshop.page $(NOTEBOOKS)

test: $(VENV)/ready  ## the regression test, on the bundled sample
	rm -rf build/test-cache
	PRUNING_DATA=sample PRUNING_CACHE_DIR="$(CURDIR)/build/test-cache" $(STRICT) \
		tests/ --hypothesis-seed=$(SEED) $(IN_CI)

full: $(VENV)/ready  ## the notebooks on the full data, strictly
	rm -rf build/full-cache
	PRUNING_CACHE_DIR="$(CURDIR)/build/full-cache" $(STRICT)

alone: $(VENV)/ready  ## each notebook in a process of its own with an empty cache
	rm -rf build/alone
	printf '%s\n' $(NOTEBOOKS:.py=.ipynb) | PRUNING_DATA=sample xargs -P 2 -I{} sh -c ' \
		PRUNING_CACHE_DIR="$(CURDIR)/build/alone/$$(basename "$$1")" \
		$(BIN)/pytest --nbval "$$1" --quiet -p no:cacheprovider' sh {}

browser: $(VENV)/ready  ## move the sliders in a real browser, screenshots in build/
	$(BIN)/pytest tests/browser

faults: $(VENV)/ready  ## kill, fill, cut off and interrupt what the helpers do
	$(BIN)/pytest tests/faults -n 2

CODESPACE := requirements.lock environment.yml pyproject.toml \
	$(wildcard .devcontainer/*) $(wildcard tests/codespace/*.py)

codespace: $(VENV)/ready  ## run the commands of the Codespace, then notebook 01
	$(BIN)/pytest tests/codespace
	sha256sum $(CODESPACE) > .ci/codespace.sha256  # as they passed: commit it

deep: $(VENV)/ready alone faults codespace old-pip  ## what takes too long for each change
	$(BIN)/pytest tests/browser -m ""
	$(BIN)/pytest tests -m "" -n 2 --hypothesis-profile=deep

bench: $(VENV)/ready $(PEERS)/ready  ## time the helpers against their peers
	$(BIN)/python tests/benchmarks/bench.py $(GROUPS)

notebooks: $(VENV)/ready  ## rebuild the stored .ipynb from the .py
	$(BIN)/python -m helpers.workshop.building store $(NOTEBOOKS)

study: $(VENV)/ready  ## repeat over seeds what the notebooks draw as bands
	$(BIN)/python -m helpers.workshop.experiments

sync: $(VENV)/ready  ## carry edits between each .ipynb and its .py
	$(BIN)/jupytext --sync $(NOTEBOOKS)

lint: $(VENV)/ready  ## check style and formatting
	$(BIN)/ruff check && $(BIN)/ruff format --check

lock:  ## pin every dependency again (needs uv)
	uv pip compile --universal --generate-hashes --no-strip-extras --upgrade \
		--python-version 3.11 --extra test pyproject.toml \
		--output-file requirements.lock

# The oldest pip that a supported Python brings; nothing is installed.
old-pip: requirements.lock  ## see that the lock installs with pip 23.0
	rm -rf build/old-pip
	$(PYTHON) -m venv build/old-pip
	build/old-pip/bin/pip install --quiet pip==23.0.1
	build/old-pip/bin/pip install --quiet --dry-run --requirement requirements.lock

clean:  ## forget the environment, trained networks and built pages
	rm -rf $(VENV) $(PEERS) .cache build

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and \
		"Python 3.11, 3.12 or 3.13 is needed, this is " + sys.version.split()[0] + \
		": try make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python \
	comes without venv or ensurepip: install them (on Debian or Ubuntu, the \
	package python3-venv), or name another, as make PYTHON=python3.12 \
	$(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# TensorFlow comes in another package there, so the two cannot share a folder.
$(PEERS)/ready: pyproject.toml $(VENV)/ready
	$(PYTHON) -m venv $(PEERS)
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")' \
		> $(PEERS)/requirements.txt
	$(PEERS)/bin/pip install --quiet --requirement $(PEERS)/requirements.txt
	@touch $@
