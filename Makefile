# `make lock` renews the pinned versions; the rest is in README.md.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SUDO   := $(if $(filter 0,$(shell id -u)),,sudo)

.DEFAULT_GOAL := run
.PHONY: run test lint bench soak fuzz stack dashboards preview dist lock

$(VENV)/run.stamp: requirements.lock pyproject.toml
	@# Debian and Ubuntu keep this part of Python in a package of its own.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(SUDO) apt-get install -y python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

run: $(VENV)/run.stamp
	$(BIN)/ward-exporter serve

test: $(VENV)/dev.stamp
	$(BIN)/python -m tests.servers
	$(BIN)/python -m pytest

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m release.audit

bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench

soak: $(VENV)/dev.stamp
	$(BIN)/python -m $(if $(filter snmp,$(WHAT)),tests.snmp.soak,tests.soak) $(MINUTES)

fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.fuzz $(TARGET) $(SECONDS)

stack: $(VENV)/dev.stamp
	$(BIN)/python -m tests.servers.stack $(CONFIG)

dashboards: $(VENV)/dev.stamp
	$(BIN)/python -m dashboards

preview: $(VENV)/dev.stamp
	$(BIN)/python -m tests.servers
	$(BIN)/python -m $(if $(URL),dashboards.preview $(URL),tests.dashboards.preview)

dist: $(VENV)/dev.stamp
	$(BIN)/python -m release

LOCK := --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate
lock:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip compile $(LOCK) --extra build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile $(LOCK) --extra build --extra dev pyproject.toml -o requirements-dev.lock
