# The newcomer's two commands are `make lab` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
NOTEBOOKS := $(wildcard notebooks/[0-9][0-9]_*.py)

.PHONY: lab run site test browser faults codespace bench notebooks study sync \
	lint lock clean

lab: $(VENV)/ready  ## open the series in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

run: $(VENV)/ready  ## execute the series, leave readable pages in build/
	$(BIN)/python -m helpers.workshop.building run $(NOTEBOOKS)

site: $(VENV)/ready  ## pages whose sliders move without a kernel, in build/site/
	$(BIN)/python -m helpers.workshop.building site $(NOTEBOOKS)

test: $(VENV)/ready  ## the regression test, on the bundled sample
	rm -rf build/test-cache
	PRUNING_DATA=sample PRUNING_CACHE_DIR="$(CURDIR)/build/test-cache" \
		$(BIN)/pytest --nbval notebooks/ tests/ -n 2 --cov=helpers --cov-fail-under=95

browser: $(VENV)/ready  ## move the sliders in a real browser, screenshots in build/
	$(BIN)/pytest tests/browser

faults: $(VENV)/ready  ## kill, fill, cut off and interrupt what the helpers do
	$(BIN)/pytest tests/faults

codespace: $(VENV)/ready  ## run the commands of the Codespace, then notebook 01
	$(BIN)/pytest tests/codespace

bench: $(VENV)/ready $(PEERS)/ready  ## time the helpers against their peers
	$(BIN)/python tests/benchmarks/bench.py

notebooks: $(VENV)/ready  ## rebuild the stored .ipynb from the .py
	$(BIN)/python -m helpers.workshop.building store $(NOTEBOOKS)

study: $(VENV)/ready  ## repeat over seeds what the notebooks draw as bands
	$(BIN)/python -m helpers.workshop.experiments

sync: $(VENV)/ready  ## carry edits between each .ipynb and its .py
	$(BIN)/jupytext --sync $(NOTEBOOKS)

lint: $(VENV)/ready  ## check style and formatting
	$(BIN)/ruff check && $(BIN)/ruff format --check

lock:  ## pin every dependency again (needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 \
		--extra test pyproject.toml --output-file requirements.lock

clean:  ## forget the environment, trained networks and built pages
	rm -rf $(VENV) $(PEERS) .cache build

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and \
		"Python 3.11, 3.12 or 3.13 is needed, this is " + sys.version.split()[0] + \
		": try make PYTHON=python3.12 $(MAKECMDGOALS)")'
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
