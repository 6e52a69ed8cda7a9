# Everything a contributor runs. `make help` lists it.
# PYTHON is only used to make .venv: make test PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SOURCES := bench config console detectors streams tests

.DEFAULT_GOAL := help
.PHONY: help install demo test check servers bench bench-peers lock generate clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## .venv with everything in requirements.lock and ringfence itself

demo: $(INSTALLED) ## the whole product on simulated traffic; ARGS="--seconds 20" ends it by itself
	@$(BIN)/ringfence demo $(ARGS)

test: check ## every check and every test; server tests run where `make servers` was run
	@$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED) ## format, lint, types, import rules
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo "make check: run $(BIN)/ruff format $(SOURCES)"; exit 1; }
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo >.venv/imports.log || { cat .venv/imports.log; exit 1; }
	@echo "format, lint, types and import rules hold"

servers: ## real Kafka and ClickHouse for the tests
	@tests/servers/fetch.sh

bench: $(INSTALLED) ## every measurement in bench/, results in bench/results
	@$(BIN)/python -m bench $(ARGS)

bench-peers: $(INSTALLED) ## the same windowed job on other stream processors (downloads 1 GB); docs/peers.md
	@$(BIN)/python -m bench.peers $(ARGS)

generate: $(INSTALLED) ## what is made from settings and detectors: config/ringfence.yaml, reference pages
	@$(BIN)/ringfence config reference --write

lock: ## requirements.lock from pyproject.toml; needs uv; ARGS=--upgrade for newer versions
	@$(or $(UV),uv) pip compile --quiet $(ARGS) --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --extra dev pyproject.toml -o requirements.lock
	@! grep -n '://' requirements.lock

clean: ## remove what make made, the servers' jars included
	@rm -rf .venv .servers .peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than Python 3.11; use make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/ringfence warm
	@touch $@
