# Each target that runs something makes .venv first; `make` alone lists them.
#   make study ARGS="--quick"            make test ARGS="-k quorum"     make setup PYTHON=python3.12

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup study play bench scale test chaos check containers format lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install the pinned packages into .venv (again only when they change)
	@PYTHON='$(PYTHON)' sh requirements/make_venv.sh

study: setup ## measure each write quorum on local nodes, check the copies, report (options: ARGS="--help")
	@$(BIN)/python -m analysis $(ARGS)

play: setup ## a live page on a real cluster: see it, and break it (options: ARGS="--leader URL")
	@exec $(BIN)/python -m playground $(ARGS)

bench: setup ## measure the service beside a bare Flask view; needs wrk (options: ARGS="--quick")
	@$(BIN)/python -m analysis.bench $(ARGS)

scale: setup ## measure how it scales: followers, keys, values, connections (options: ARGS="--help")
	@$(BIN)/python -m analysis.bench.scale $(ARGS)

test: setup ## run all tests, in parallel; those that need Docker or Chromium skip without it
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadgroup $(ARGS)

chaos: setup ## run a campaign of faults on real nodes (options: ARGS="--seconds 120 --seed 7")
	@$(BIN)/python -m tests.chaos $(ARGS)

check: setup ## check lint, format, strict types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_layers.py

containers: setup ## run the container tests; they fail without a Docker engine
	@REQUIRE_CONTAINERS=1 $(BIN)/python -m pytest -m containers $(ARGS)

format: setup ## format the code, and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Keeps every pinned version that still fits; ARGS=--upgrade takes the newest ones.
lock: setup ## pin the packages again, after a change in pyproject.toml or requirements/*.in
	@pin() { \
	  echo "requirements/$$1.txt"; \
	  $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-emit-index-url $(ARGS) -o "requirements/$$1.txt" pyproject.toml --extra node $$2; \
	}; \
	pin node && pin study requirements/study.in && pin dev requirements/dev.in

clean: ## remove .venv, caches and results
	rm -rf .venv results .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
