# Each target sets itself up: Python 3.11 or newer and make are all it needs.
#   make demo    the whole path on a generated world, from definition to live decisions
#   make test    everything that must hold: lint, types, import contracts, tests
#   make help    the other targets

.DEFAULT_GOAL := help
.PHONY: help demo test lint tests types format bench docs docs-check clean

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
endif
DATA ?= $(or $(HOLDFAST_DATA),../shared/data)
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: $(RUNTIME) ## the whole path on a generated world, in one command
	@$(BIN)/holdfast demo

test: lint tests ## lint, types, import contracts, then every test; the slow ones last

lint: $(DEV) types ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(DEV) ## mypy --strict on src and examples
	$(BIN)/mypy

tests: $(DEV) ## the tests alone; PYTEST_ARGS="-k word" picks some
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

format: $(DEV) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) ## our figures beside the published ones; DATA=folder of the data sets
	$(BIN)/python -m benchmarks $(DATA)

docs: $(DEV) ## write the generated pages and golden files again
	$(BIN)/python -m pytest -q tests/documentation tests/tidy --rewrite-golden

docs-check: $(DEV) ## run every example of the documentation
	$(BIN)/python -m pytest tests/documentation

clean: ## remove caches and build outputs; the environment in .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Holdfast needs Python 3.11 or newer, and found $$(python3 --version 2>/dev/null || echo none). Install one, then: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else "Holdfast needs Python 3.11 or newer; $(PYTHON) is %d.%d. Then: make PYTHON=python3.11 ..." % v[:2])'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Holdfast in $(VENV) and compiling its engine (once, about a minute) ..."
	@$(PIP) -e .
	@$(BIN)/python -m holdfast.features.warm_up
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Holdfast and its test tools in $(VENV) and compiling its engine (once, about a minute) ..."
	@$(PIP) -e '.[dev]'
	@$(BIN)/python -m holdfast.features.warm_up
	@touch $@ $(RUNTIME)
