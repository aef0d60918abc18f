# Two commands do everything: `make demo` and `make test`. Both make the environment first.
# The first Python that is new enough; PYTHON=/path/to/python3 chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO_ARGS ?=
TEST_ARGS ?=
# Many tests wait for a broker rather than compute: more of them at once than there are cores.
TEST_PROCESSES ?= 4
REPRODUCE_ARGS ?=

# What the demo needs is a fifth of what developing and training need.
RUN_STAMP := $(VENV)/.installed-to-run
ALL_STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: vendor help install demo demo-packets test lint format audit-deps bench client docs models reproduce constraints clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(ALL_STAMP)  ## Make the virtual environment .venv with everything in it

$(BIN)/python:
	@test -n "$(PYTHON)" || \
	  { echo "nightjar needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(ALL_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV); the first time takes some minutes"
	$(PIP) --editable '.[embedded,tracing,training,dev]'
	@touch $(ALL_STAMP) $(RUN_STAMP)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV); the first time takes a minute or two"
	$(PIP) --editable '.[embedded]'
	@touch $(RUN_STAMP)

demo: $(RUN_STAMP)  ## Run the whole service on a replayed stream (DEMO_ARGS="--help" for its options)
	@$(BIN)/nightjar demo $(DEMO_ARGS)

test: $(ALL_STAMP) lint  ## Lint, type-check and run every test (TEST_ARGS="-k name" for some)
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal $(TEST_ARGS)

lint: $(ALL_STAMP)  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(ALL_STAMP)  ## Put the code in form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit-deps: $(ALL_STAMP)  ## Look the pinned packages up among known vulnerabilities (needs pypi.org)
	@test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && \
	  .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	@.venv-audit/bin/python -c "import json, urllib.request as r; \
	  json.load(r.urlopen('https://pypi.org/pypi/pip/json', timeout=10))['vulnerabilities']" 2>/dev/null || \
	  { echo "pypi.org does not tell of vulnerabilities from here: nothing was audited" >&2; exit 1; }
	.venv-audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

bench: $(ALL_STAMP)  ## Measure, each number beside its baseline
	$(BIN)/python -m tests.benchmarks all

client: $(BIN)/python  ## Build the wheel of the Python client into dist/
	@rm -rf build/client && mkdir -p build && cp -r service/client build/client
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist build/client
	@ls dist/nightjar_client-*.whl

docs: $(ALL_STAMP)  ## Write the generated pages of docs/ anew, and build the site into site/
	$(BIN)/nightjar settings --markdown > docs/settings.md
	$(BIN)/python docs/tools/cli_reference.py > docs/cli.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

demo-packets: $(ALL_STAMP)  ## Simulate the alerts of the demo anew
	$(BIN)/nightjar-train packets --output service/embedded/demo_packets.tar.xz

models: $(ALL_STAMP)  ## Make the shipped models anew, from simulations to bundles (an hour or two)
	$(MAKE) -f training/models.mk BIN=$(BIN) models

reproduce: $(ALL_STAMP)  ## The paper's experiments and ours, with a report (REPRODUCE_ARGS="--quick" in minutes)
	$(BIN)/nightjar-train reproduce $(REPRODUCE_ARGS)

vendor:  ## Fetch what the page uses of others anew, and check it
	cd service/api/page/vendor && npm pack --silent uplot@1.6.32 && tar -xzf uplot-1.6.32.tgz \
	  && cp package/dist/uPlot.iife.min.js package/dist/uPlot.min.css . && cp package/LICENSE uPlot.LICENSE \
	  && rm -r package uplot-1.6.32.tgz && sha256sum --check SHA256SUMS

constraints: $(ALL_STAMP)  ## Write constraints.txt anew from what is installed
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > .constraints
	@mv .constraints constraints.txt

clean:  ## Remove the environment and caches
	rm -rf $(VENV) .venv-audit build *.egg-info .mypy_cache .ruff_cache .pytest_cache
