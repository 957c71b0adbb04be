# Every target is one line; the work stands in deploy/ and in the modules.
.DEFAULT_GOAL := help
PYTHON ?= python3.11
PY := .venv/bin/python

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## One process on http://127.0.0.1:8080: a first look, a laptop, a small site
	@deploy/local/venv allinone && exec $(PY) -m services.allinone

cluster: ## The whole cluster as processes: Redis, a genuine Triton, gateway, detector, classifier
	@exec deploy/local/cluster

test: ## Set up what is needed and run the tests against a real Redis and a real Triton
	@deploy/local/test

unit: ## The fast tests alone: no server, no socket, no process
	@deploy/local/venv dev && $(PY) -m pytest -q -n auto tests/unit

test-training: ## The types and tests of training/, in a virtual environment of its own (5 GB)
	@deploy/local/venv training && .venv-training/bin/python -m mypy training tests/training && .venv-training/bin/python -m pytest tests/training

lint: ## Format and lint checks, types, layers
	@deploy/local/venv dev && $(PY) -m ruff format --check . && $(PY) -m ruff check . && $(PY) -m mypy && $(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()'

format: ## Format and fix what can be fixed
	@deploy/local/venv dev && $(PY) -m ruff check --fix . && $(PY) -m ruff format .

models: ## Fetch weights of more detectors, all or NAMES="yunet mtcnn"; NAMES=--list says what there is
	@$(PYTHON) deploy/local/models.py $(NAMES)

cert: ## Make a local certificate for deploy/compose/https.yml
	@deploy/local/cert

passwords: ## Make a random password for each Redis, for deploy/compose/password.yml
	@deploy/local/passwords

bench: ## Measure the cluster beside its limit; writes docs/benchmarks.md
	@deploy/local/venv dev && deploy/triton/setup && $(PY) -m tests.load

lock: ## Compile requirements/*.lock again from pyproject.toml (needs uv)
	@deploy/local/lock

clean: ## Remove the virtual environments and all that runs left behind
	@rm -rf .venv .venv-training .venv-triton .run .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help run cluster test unit test-training lint format models cert passwords bench lock clean
