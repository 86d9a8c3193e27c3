# `make demo` and `make test` do their whole set-up on a fresh Debian or Ubuntu with Python 3.11 or later.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; name another one with `make PYTHON=…`.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c '$(NEW_ENOUGH)' && echo $$p && break; done)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SERVICES := orthanc dicom3tools dcmtk postgresql chromium cmake g++ \
	$(shell command -v java >/dev/null || echo default-jre-headless)
ROOT := $(shell [ "$$(id -u)" = 0 ] && echo env || { sudo -n true 2>/dev/null && echo sudo -n; })
# Processes that the whole suite is spread over, each with one thread and up to 3 GB.
WORKERS ?= 2
APT := $(ROOT) DEBIAN_FRONTEND=noninteractive apt-get -qq

# What `make quick` tests, without the tests marked slow: architecture, reason codes, options, records, data, metrics.
QUICK := tests/test_*.py tests/core tests/pipelines/test_compose.py tests/apps/{risk,imagegen}/data \
	tests/apps/*/metrics tests/apps/*/test_config.py --ignore=tests/core/training

.PHONY: help demo test quick check docs format setup setup-dev services clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

demo: setup  ## Set up, find nodules on embedded inputs, end with the path of one HTML page
	@$(BIN)/python -m pipelines.demo output=demo

test: setup-dev services check  ## Set up, then run every check and test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not backends'
	@# apart: a process that has loaded OpenVINO and ONNX Runtime sometimes ended in a later test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m backends

quick: setup-dev  ## Every check, and the tests that need no server, training or real data: 2 minutes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports >/dev/null
	@$(BIN)/mypy & types=$$!; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not (e2e or realdata or slow)' $(QUICK) || failed=$$?; \
	wait $$types; exit $${failed:-0}

check: setup-dev  ## Lint, format, types and arrows, without tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: setup-dev  ## Build the documentation site into build/docs, without a network; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "$(CURDIR)/build/docs/index.html"

format: setup-dev  ## Format the code and fix what can be fixed automatically
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

setup: $(VENV)/base.stamp  ## Make the virtual environment with what the demo needs

setup-dev: $(VENV)/dev.stamp  ## The same, with the tools of the tests

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: install it, or name it with make PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
		rm -rf $(VENV); \
		test -n "$(ROOT)" || { echo "please install the package $(notdir $(PYTHON))-venv"; exit 1; }; \
		$(APT) update; $(APT) install -y --no-install-recommends "$(notdir $(PYTHON))-venv" >/dev/null; \
		$(PYTHON) -m venv $(VENV); }

$(VENV)/base.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing Triptych into $(VENV)"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing Triptych and the tools of its tests into $(VENV)"
	@$(INSTALL) -e '.[dev]'
	@# apart: where transformers sees torchao, which it brings, it imports it everywhere
	@$(INSTALL) --no-deps --target $(VENV)/executorch executorch torchao ruamel.yaml
	@touch $(VENV)/base.stamp $@

services:
	@missing=; for p in $(SERVICES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ -z "$(ROOT)" ]; then echo "some tests will be skipped; they need: apt-get install$$missing"; exit 0; fi; \
	$(APT) update && $(APT) install -y --no-install-recommends $$missing >/dev/null \
		|| echo "some tests will be skipped; could not install:$$missing"

clean:  ## Remove what was built and cached, results and runs stay
	@rm -rf $(VENV) .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
