# The commands of this project. `make demo` and `make test` are all a newcomer needs.
PYTHON ?= /usr/bin/python3
BIN := .venv/bin
BENCH ?=
SEED ?= 1
MINUTES ?= 2

.PHONY: setup packages demo demo-hoster test check bench chaos docs vm engine engine-down images clean

setup: .venv/.done

packages:
	@sh tests/packages.sh

# Debian's own python3, because the nftables binding is Debian's python3-nftables.
.venv/.done: pyproject.toml constraints.txt tests/packages.sh
	@sh tests/packages.sh
	@echo "making .venv"
	@$(PYTHON) -m venv --system-site-packages .venv
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/python -m tests.lab.demo

demo-hoster: setup
	@$(BIN)/python -m tests.lab.demo_hoster

test: setup check
	@sh tests/packages.sh engine vm
	@$(BIN)/pytest
	@$(BIN)/python -m tests.chaos $(SEED) 2

# The part that needs a kernel with PPP and VLANs, in a virtual machine made from packages.
vm: setup
	@sh tests/packages.sh engine vm
	@$(BIN)/pytest tests/vm

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: setup
	@$(BIN)/python -m tests.bench $(BENCH)

# Random faults from a seed, and after each what must always hold: make chaos SEED=7 MINUTES=30
chaos: setup
	@$(BIN)/python -m tests.chaos $(SEED) $(MINUTES)

# A private Docker engine from Debian packages, for machines without one; where Docker runs, that one is used.
engine: setup
	@sh tests/packages.sh engine
	@$(BIN)/python -m tests.engine.engine up

engine-down:
	@$(BIN)/python -m tests.engine.engine down

# The router's two images and the emulators of the demos, in order. DINIT_DIR: see docs/operations.md.
images: setup
	@$(BIN)/python -m tests.engine.images

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
