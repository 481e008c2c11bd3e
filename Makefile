# `make demo` makes a first image, `make test` runs every check; both set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# By all cores; pip takes one. Some packages have templates that are no modules: those are left.
COMPILE := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -qq -j 0
# Compiled files are kept, or each of the hundreds of programs that tests start compiles its own;
# tests of one file run in one process, or its servers and models are made twice.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: demo test test-all lint types unit browser compiler catalog clean

demo: $(VENV)/.installed
	@$(BIN)/nodegraph run workflows/txt2img.json --output-dir output

test: lint types unit

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/basedpyright

unit: $(VENV)/.installed-dev browser compiler
	@$(COMPILE) nodegraph nodes server workflows
	$(PYTEST)

# The slow half too: every reference case, full soak runs.
test-all: $(VENV)/.installed-dev browser compiler
	@$(COMPILE) nodegraph nodes server workflows
	$(PYTEST) -m "not gpu and not weights"

# The editor is tested in Chromium; where that can not be installed, those tests are skipped.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& { apt-get update -qq; apt-get install -y -qq --no-install-recommends chromium; } >/dev/null; } \
		|| echo "No chromium on the PATH: the tests of the editor are skipped." >&2

# The simulated accelerator is compiled; where no compiler can be installed, its tests are skipped.
compiler:
	@command -v "$${CXX:-c++}" >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& { apt-get update -qq; apt-get install -y -qq --no-install-recommends g++; } >/dev/null; } \
		|| echo "No C++ compiler: the tests of the simulated accelerator are skipped." >&2

# The specs of the built-in nodes as data; a test says when it is out of date.
catalog: $(VENV)/.installed
	$(BIN)/python -m nodegraph.packs.catalog
	$(BIN)/python -m nodegraph.python.stubs

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); the first time this takes a few minutes." >&2
	@$(PIP) install --no-compile -c constraints.txt -e .
	@$(COMPILE) $(VENV)/lib >/dev/null || true
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PIP) install --no-compile -c constraints.txt -e ".[app,dev,ui]"
	@$(COMPILE) $(VENV)/lib >/dev/null || true
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
