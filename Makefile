# `make demo`, `make window` and `make test`.  Each sets up what it needs by itself.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# Test files run in parallel: each whole in one process, one process for each core, at most four.
# They keep their order: the doctests, which are short, come last and fill up what time is left.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# An environment is stale if it was made for another place or another Python,
# or before pyproject.toml was last changed.
MARK = $(CURDIR) $(shell $(RUN) -c 'import sys; print(sys.version_info[:3])' 2>/dev/null)
ifneq ($(strip $(MARK)),$(strip $(shell cat $(VENV)/.made-for 2>/dev/null)))
STALE := stale
endif

.PHONY: help demo window test lint kill bench bench-full clean stale

help:
	@echo 'make demo         see it work, on a site of its own'
	@echo 'make window       see it work in a desktop program, a window of Qt'
	@echo 'make test         run every check and test'
	@echo 'make lint         run the checks alone'
	@echo 'make kill         kill mirrors and publishes at 200 random instants, in some minutes'
	@echo 'make bench        measure it against its peers, in a few minutes'
	@echo 'make bench-full   the same with a million entries, and write it down'
	@echo 'make clean        remove what the others made'

demo: $(VENV)/.demo
	@$(RUN) -m staticstore demo

window: $(VENV)/.window
	@$(RUN) examples/changing_site.py examples/browser_qt.py

test: lint
	@rm -f .coverage .coverage.*
	@$(RUN) -m coverage run -m pytest $(PARALLEL); status=$$?; \
	$(RUN) -m coverage combine -q; $(RUN) -m coverage report; exit $$status

lint: $(VENV)/.dev
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check -q .
	@$(RUN) -m mypy

kill: $(VENV)/.dev
	@$(RUN) -m tests.site.killed_at_random 200

bench: $(VENV)/.bench
	@$(RUN) -m benchmarks

bench-full: $(VENV)/.bench
	@$(RUN) -m benchmarks --entries 1000000 --value 1024 --write

clean:
	rm -rf $(VENV) .cache .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.made-for: pyproject.toml $(STALE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'staticstore needs Python 3.11 or newer: make PYTHON=python3.12 ...' >&2; exit 1; }
	@echo 'Setting up $(VENV) ...'
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) \
	|| { echo 'Python has no venv module: install your python3-venv package' >&2; exit 1; }
	@$(RUN) -m pip install --quiet --upgrade 'pip >= 25.1'
	@echo "$(CURDIR) $$($(RUN) -c 'import sys; print(sys.version_info[:3])')" > $@

$(VENV)/.demo: $(VENV)/.made-for
	@$(RUN) -m pip install --quiet --editable '.[cli]'
	@touch $@

$(VENV)/.window: $(VENV)/.made-for
	@$(RUN) -m pip install --quiet --editable '.[cli,qt]'
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: $(VENV)/.made-for
	@$(RUN) -m pip install --quiet --editable '.[all]' --group dev
	@touch $@ $(VENV)/.demo $(VENV)/.window

$(VENV)/.bench: $(VENV)/.dev
	@$(RUN) -m pip install --quiet --group bench
	@touch $@
