# Everything there is to know: make run, make test, make check, make bench.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Mail clients that the suite sends with; smtp-source and smtp-sink of the bench come with postfix.
TEST_PACKAGES := swaks libnet-ssleay-perl msmtp postfix libsasl2-modules openssl

.PHONY: help setup run test check format bench lock clean

help:
	@echo "make run     set up, start platform and lab, deliver a first message, stay up"
	@echo "make test    set up, then the whole suite (SQLite and PostgreSQL)"
	@echo "make check   format, lint, types, floors"
	@echo "make bench   Ekiden beside Postfix and others (see docs/benchmarks.md)"
	@echo "make lock    resolve the dependencies again"

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Ekiden needs Python 3.11 or later; try make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

run: setup
	@$(BIN)/ekiden demo

test: setup
	@tools/debian-packages $(TEST_PACKAGES)
	@$(BIN)/python -m pytest --numprocesses=auto $(ARGS)

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup
	@tools/debian-packages postfix
	@tools/debian-packages opendkim || echo "Without opendkim, Postfix has nothing to sign with: that row will be missing." >&2
	@$(BIN)/python -m bench $(ARGS)

# Needs uv (pip install uv). The locks carry names and versions only, never an address.
lock:
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate pyproject.toml --output-file requirements.lock
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --group dev pyproject.toml --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
