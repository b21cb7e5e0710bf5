# Every target works from a fresh clone. PYTHON names the interpreter that makes .venv.
PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt
NEEDS_PYTHON := make: atrous needs Python >= 3.11; name one with `make PYTHON=python3.12`
NEEDS_VENV := make: no .venv could be made; is the venv module installed (on Debian, python3-venv)?

.DEFAULT_GOAL := help
.PHONY: help demo test study lint format clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: .venv/.demo  ## parse sample photos with the packaged model
	$(BIN)/python examples/01_parse_photos.py

test: .venv/.dev  ## run the tests; make test ARGS="-k floors" runs some of them
	$(BIN)/python -m pytest -n 2 --dist worksteal -rs $(ARGS)

study: .venv/.dev  ## run the tests that are too slow for every day
	$(BIN)/python -m pytest -n 2 --dist worksteal -rs -m study $(ARGS)

lint: .venv/.dev  ## ruff, the format and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev  ## put the code in its form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:  ## remove .venv, caches and what build and demo wrote
	rm -rf .venv build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo '$(NEEDS_PYTHON)' >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo '$(NEEDS_VENV)' >&2; exit 1; }

.venv/.demo: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo 'installing atrous into .venv; the first time takes minutes'
	@$(INSTALL) -e '.[demo]'
	@touch $@

.venv/.dev: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo 'installing atrous and its tools into .venv; the first time takes minutes'
	@$(INSTALL) -e '.[dev,demo,track,peers]'
	@touch .venv/.demo $@
