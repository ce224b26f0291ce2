# The commands of this project. `make demo` and `make test` are all a newcomer needs.
PYTHON ?= /usr/bin/python3
BIN := .venv/bin
BENCH ?=

.PHONY: setup packages demo test check bench docs clean

setup: .venv/.done

packages:
	@sh tests/packages.sh

# Debian's own python3, because the nftables binding is Debian's python3-nftables.
.venv/.done: pyproject.toml tests/packages.sh
	@sh tests/packages.sh
	@echo "making .venv"
	@$(PYTHON) -m venv --system-site-packages .venv
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/python -m tests.lab.demo

test: setup check
	@$(BIN)/pytest

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: setup
	@$(BIN)/python -m tests.bench $(BENCH)

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
