# `make` alone lists what there is to do. Needs: Python 3.11, make, and the package registry that pip is set up for.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BENCH  := $(VENV)/.installed-bench
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz fuzz-api chaos check lint bench bench-rules bench-api overload profile up lock

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything in it, from the hashed lock

$(STAMP): requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; say which one with 'make PYTHON=/path/to/python3.11'" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## replay real shopping data through the whole engine (ARGS="--json FILE", "--help")
	@$(BIN)/tactics demo $(ARGS)

up: setup ## run everything on this machine to play with (ARGS="--no-flower")
	@$(BIN)/tactics up $(ARGS)

test: setup ## run the tests, with real Postgres, Valkey and workers, two at a time (ARGS="-k rules": those, one by one)
	@$(BIN)/python -m pytest $(or $(ARGS),-n 2 --dist loadfile)

fuzz: setup ## try the rules on random input until the time is up (ARGS="--seconds 600 --seed 1")
	@$(BIN)/python -m tests.fuzz.rules $(ARGS)

fuzz-api: setup ## ask the HTTP API random things until the time is up (ARGS="--seconds 600 --seed 1")
	@$(BIN)/python -m tests.fuzz.api $(ARGS)

chaos: setup ## let everything fail under load and check what became of it (ARGS="--quick", "--json FILE --seeds 5", "--seed 3")
	@$(BIN)/python -m tests.chaos $(ARGS)

lint: setup ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## what CI runs

bench: $(BENCH) ## measure, as ratios against baselines of the same run (ARGS="--json FILE", "--only KEY", "--quick")
	@$(BIN)/python -m tests.bench $(ARGS)

bench-rules: $(BENCH) ## measure rules beside hand-written Python and other rule engines (ARGS="--json FILE", "--only KEY", "--quick")
	@$(BIN)/python -m tests.bench.rules $(ARGS)

bench-api: setup ## measure the HTTP API beside a bare FastAPI endpoint (ARGS="--json FILE", "--only KEY", "--quick")
	@$(BIN)/python -m tests.bench.api $(ARGS)

overload: setup ## offer the HTTP API three times what it can take, and check what becomes of it (ARGS="--seconds 60")
	@$(BIN)/python -m tests.bench.api.overload $(ARGS)

profile: $(BENCH) ## draw where the time of a placement and of an event goes (ARGS="--out FOLDER")
	@$(BIN)/python -m tests.bench.profile $(ARGS)

# What only benchmarks need, on top of the rest and at the same versions.
$(BENCH): $(STAMP) requirements/bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

lock: ## renew requirements/*.txt: newest versions that resolve together, with hashes
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	UV_SYSTEM_CERTS=1 .venv-lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 pyproject.toml --extra server -o requirements/server.txt
	UV_SYSTEM_CERTS=1 .venv-lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 pyproject.toml --extra server --group demo --group dev -o requirements/dev.txt
	UV_SYSTEM_CERTS=1 .venv-lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 pyproject.toml --extra server --group demo --group dev --group bench \
		--constraint requirements/dev.txt -o requirements/bench.txt
	cd tests/ways_in && rm -f package-lock.json && $(abspath $(BIN))/npm install --package-lock-only --omit-lockfile-registry-resolved \
		--ignore-scripts --no-audit --no-fund --silent
	rm -rf .venv-lock
