# Two commands set everything up on a fresh machine and run: make demo, make test.
# Needs: make, Python 3.10 or newer with its venv module. Everything goes into .venv and runs/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Every step that trains uses both cores itself; parallel test processes get one thread each.
TEST_WORKERS ?= 2

.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.base: constraints.txt
	@echo "setting up $(VENV) (once; this downloads PyTorch and takes some minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: avzsl needs Python 3.10 or newer; run: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "error: Python's venv module is missing (on Debian and Ubuntu: apt install python3-venv)"; rm -rf $(VENV); exit 2; }
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

# The demo's environment: the package with its extras.
$(VENV)/.package: $(VENV)/.base pyproject.toml
	@$(PIP) install -c constraints.txt -e '.[all]'
	@touch $@

# The tests' environment: also the linters and the oracles (without their own dependencies).
$(VENV)/.tests: $(VENV)/.package
	@$(PIP) install -c constraints.txt --group dev
	@$(PIP) install -c constraints.txt --no-deps --group oracles
	@touch $@

setup: $(VENV)/.package  ## install the package with all extras into .venv

demo: $(VENV)/.package  ## render a small world, train STFT on it, name clips of unseen classes, write a report
	@$(BIN)/avzsl demo

test: $(VENV)/.tests lint  ## linters, types and the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n $(TEST_WORKERS)

test-all: $(VENV)/.tests lint  ## the same with the slow tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS)

# BENCH="--quick" or BENCH="--only lif,steps"; needs the oracles, which are among what is compared.
bench: $(VENV)/.tests  ## measure speed beside other libraries and beside the machine's own rates, into runs/bench
	@$(BIN)/python -m benchmarks $(BENCH)

trials: $(VENV)/.tests  ## kill runs and feed broken files, a few of each; docs/trust.md has the long form
	OMP_NUM_THREADS=1 $(BIN)/python -m trials.kill --kills 6 --save-kills 20 --extract-kills 2 --benchmark-kills 1
	$(BIN)/python -m trials.hostile --hdf5 200 --media 100 --settings 500 --models 1000 --out runs/hostile

lint: $(VENV)/.tests  ## ruff and mypy only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.tests  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and caches (runs/ stays)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help setup demo test test-all bench trials lint format clean
