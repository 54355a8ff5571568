# Each target that runs something makes .venv first; `make` alone lists them.
#   make study ARGS="--writes 2000"     make test ARGS="-k quorum"     make setup PYTHON=python3.12

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup study test chaos check containers format lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## make .venv from the pinned packages (again only when they change)
	@PYTHON='$(PYTHON)' sh requirements/make_venv.sh

study: setup ## local nodes, 10,000 writes for each quorum, check, plot (options: ARGS=...)
	@$(BIN)/python -m analysis $(ARGS)

test: setup ## all tests, on several processors; those of the containers where a Docker engine answers
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadgroup $(ARGS)

chaos: setup ## a fault campaign on real nodes (options: ARGS="--seconds 120 --seed 7")
	@$(BIN)/python -m tests.chaos $(ARGS)

check: setup ## lint, format, strict types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_layers.py

containers: setup ## the container tests; a missing Docker engine fails them
	@REQUIRE_CONTAINERS=1 $(BIN)/python -m pytest -m containers $(ARGS)

format: setup ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Keeps every version that still fits; ARGS=--upgrade takes the newest.
lock: setup ## pin the packages again after a change in requirements/*.in
	@for name in node study dev; do \
	  echo "requirements/$$name.txt"; \
	  $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-emit-index-url $(ARGS) requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

clean: ## remove .venv, caches and results
	rm -rf .venv results .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
