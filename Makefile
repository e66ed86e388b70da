# Two targets matter: `make demo` (a whole night on the sample company) and `make test` (everything CI runs).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONTACTS ?= 8000
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export RUNTIME__DLTHUB_TELEMETRY := false
export GX_ANALYTICS_ENABLED := false

.PHONY: help install demo nights test lint eval costs bench soak lock clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(STAMP)  ## Install the locked packages into .venv (uv where it is present, else venv and pip)

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else "Nightdesk needs Python 3.11 or 3.12, this is %d.%d: say make PYTHON=python3.11" % v)'
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV) && \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.txt && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(STAMP)

demo: $(STAMP)  ## One night on the sample company (CONTACTS=8000)
	@$(BIN)/nightdesk demo --contacts $(CONTACTS)

nights: $(STAMP)  ## Three nights: the first, a quiet one, one after 10 % of the contacts changed
	@$(BIN)/nightdesk demo --contacts $(CONTACTS) --nights 3

# The linters run beside the first tests, which wait for a night to be made; what they say comes at the end.
test: $(STAMP)  ## Linters and every test
	@mkdir -p target; $(MAKE) --no-print-directory lint >target/lint.txt 2>&1 & linters=$$!; \
	tests=0; $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder || tests=$$?; \
	wait $$linters || { echo "the linters found:"; cat target/lint.txt; exit 1; }; \
	exit $$tests

lint: $(STAMP)  ## ruff, pyright (strict) and sqlfluff
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright --level error
	@$(BIN)/ruff format --check --quiet . || (echo "run: ruff format ." && exit 1)
	@$(BIN)/sqlfluff lint --disable-progress-bar models tests/dbt

eval: $(STAMP)  ## How good the agent is, against the sample company's truth
	@$(BIN)/nightdesk eval

costs: $(STAMP)  ## What a night costs, against agents that read raw records (three nights)
	@$(BIN)/nightdesk eval --tokens

bench: $(STAMP)  ## Times of the night's parts at full size
	@$(BIN)/python -m tests.bench

soak: $(STAMP)  ## The long tests; then simulated hostile models against whole nights, on a ledger of their own
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m soak
	@$(BIN)/python -m sandbox.evaluation.survival

lock:  ## Make requirements.txt anew from pyproject.toml (needs uv)
	uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header --extra dev pyproject.toml -o requirements.txt
	sed -i '1i # Every package with its hashes, no host names. Made by `make lock` from pyproject.toml; do not edit.' requirements.txt

clean:  ## Remove what the demo and dbt made (never data/ itself: it may hold a ledger)
	rm -rf target logs data/demo
