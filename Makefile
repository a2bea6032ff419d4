# make study     the main job on the embedded default: custom_cnn, pretrained on CIFAR-10, on scikit-learn's digits
# make study BACKBONE=vgg19 DATASET=cifar10 ARGS="--train-size 4000"     the same with your choice
# make check     linter, type checker and the quick tests: under three minutes on two cores
# make test      linter, type checker, all tests
# make faults    kills, full disks, suspended and simultaneous runs on real studies: half an hour; KILLS=5 for less
# make docs      the documentation as a site, in site/; a dead link is an error
# make docs-tables    the tables that are made from the code, written into the pages
# make install   only installs, into .venv
PYTHON ?= python3
BACKBONE ?= custom_cnn
DATASET ?= digits
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
SOURCES := setup.cfg pyproject.toml constraints.txt

.PHONY: install study lint check test faults docs docs-tables clean

install: .venv/installed

study: .venv/installed
	$(BIN)/python -m hpo.run --backbone $(BACKBONE) --dataset "$(DATASET)" $(ARGS)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder -m "not slow" --quiet

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

faults: .venv/installed-test
	EXAMPLES=100 $(BIN)/python -m pytest tests/faults/test_database.py tests/faults/long.py --verbose

docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-tables: .venv/installed
	PYTHONPATH=. $(BIN)/python docs/tables.py

clean:
	rm -rf .venv build site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

.venv/installed: $(SOURCES)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit("error: Python 3.11 to 3.13 is needed, $(PYTHON) is %d.%d; choose one with: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

.venv/installed-test: .venv/installed
	$(PIP) --editable ".[test]"
	@touch $@

.venv/installed-docs: .venv/installed
	$(PIP) --editable ".[docs]"
	@touch $@
