# Everything there is to know: make run, make test, make check, make bench, make mutants.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Mail clients that the suite sends with; smtp-source and smtp-sink of the bench come with postfix.
TEST_PACKAGES := swaks libnet-ssleay-perl msmtp postfix libsasl2-modules openssl
# Mail servers that bounce our mail. They conflict with postfix and with each other, so they are unpacked only.
MAIL_SERVERS := exim4-daemon-light opensmtpd
# Clients that come from language registries, each in a place of its own: two of them share an import name.
CLIENTS := $(VENV)/clients
CLIENT_STAMPS := $(foreach client,infobip-5 infobip-6 infobip-sdk cmc node,$(CLIENTS)/$(client)/.ready)
# With letters for Japanese pages, or the screenshots would show boxes.
BROWSER_PACKAGES := chromium fonts-ipafont-gothic

# Half of the suite waits for processes it has started: more of them than cores.
PROCESSES ?= $(shell echo $$(( ($$(nproc 2>/dev/null || echo 2) * 3 + 1) / 2 )))

# Where the environment forbids compiled files (images of containers do), each of the many processes of the suite would
# compile all that it loads, and each worker would rewrite every assertion anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup clients run test fuzz hostile mutants check format bench lock clean

help:
	@echo "make run     set up, start platform and lab, deliver a first message, stay up"
	@echo "make test    set up, then the whole suite (SQLite and PostgreSQL)"
	@echo "make clients only the clients that the suite sends with, and its browser"
	@echo "make fuzz    every parser that reads from outside, a million cases each (an hour or two)"
	@echo "make hostile attacks with a victim at full strength, and what the victim felt (half an hour)"
	@echo "make check   format, lint, types, floors"
	@echo "make mutants small faults, one at a time: do the tests notice?"
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

clients: setup $(CLIENT_STAMPS)
	@command -v chromium >/dev/null || tools/debian-packages $(BROWSER_PACKAGES)

$(CLIENTS)/%/.ready: tests/clients/%.lock | $(STAMP)
	@echo "setting up $(@D) ..."
	@rm -rf $(@D)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(@D) --requirement $<
	@touch $@

$(CLIENTS)/node/.ready: $(addprefix tests/clients/node/,package.json package-lock.json .npmrc)
	@{ command -v node && command -v npm; } >/dev/null || tools/debian-packages nodejs npm
	@echo "setting up $(@D) ..."
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@cd $(@D) && npm ci --ignore-scripts --loglevel=error >/dev/null
	@touch $@

run: setup
	@$(BIN)/ekiden demo

test: setup clients
	@tools/debian-packages $(TEST_PACKAGES)
	@for server in $(MAIL_SERVERS); do \
		tools/unpacked-packages $(VENV)/mail-servers/$$server $$server || echo "Without $$server, its bounces are not tried." >&2; \
	done
	@tools/debian-packages faketime || echo "Without faketime, machines whose clocks differ are not tried." >&2
	@$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=worksteal $(ARGS)

hostile: setup
	@$(BIN)/python tests/hostile $(ARGS)

fuzz: setup
	@$(BIN)/python tests/fuzz/fuzz_run.py $(ARGS)

# One fault at a time in a copy of the sources: ARGS are parts of names or files (see docs/reliability.md).
mutants: setup
	@$(BIN)/python tests/mutants $(ARGS)

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/vulture

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup
	@tools/debian-packages postfix
	@tools/debian-packages opendkim || echo "Without opendkim, Postfix has nothing to sign with: that row will be missing." >&2
	@$(BIN)/python -m bench $(ARGS)

# Needs uv (pip install uv) and npm. The older client of Infobip wants a regex of 2022 that no wheel fits, for other
# channels than mail, and finds its own version with setuptools; that of Customers Mail Cloud does not say that it needs
# requests. The locks carry names and versions only, never an address.
LOCK := uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate
lock:
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) --group dev pyproject.toml --output-file requirements-dev.lock
	echo infobip-api-python-client==5.1.1 | $(LOCK) - --output-file tests/clients/infobip-5.lock
	echo infobip-api-python-client==6.0.0 | $(LOCK) - --output-file tests/clients/infobip-6.lock
	echo 'regex>=2024.11.6' >tests/clients/infobip-sdk.overrides
	printf '%s\n' infobip-api-python-sdk==5.0.1 'setuptools<81' | \
		$(LOCK) - --overrides tests/clients/infobip-sdk.overrides --output-file tests/clients/infobip-sdk.lock
	rm tests/clients/infobip-sdk.overrides
	printf '%s\n' customersmailcloud==1.2.2 requests | $(LOCK) - --output-file tests/clients/cmc.lock
	cd tests/clients/node && npm install --package-lock-only --ignore-scripts

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
