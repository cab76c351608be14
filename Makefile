# `make demo`, `make window`, `make test` and more.  Each target installs what it needs.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# Test files run in parallel: each whole in one process, one process for each core, at most four.
# They keep their order: the doctests, which are short, come last and fill up what time is left.
# If a process crashes the run ends there: pytest-xdist 3.8 can wait forever after replacing it.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 \
	--durations=20

# An environment is stale if it was made in another folder or for another Python,
# or before the last change of pyproject.toml.
MARK = $(CURDIR) $(shell $(RUN) -c 'import sys; print(sys.version_info[:3])' 2>/dev/null)
ifneq ($(strip $(MARK)),$(strip $(shell cat $(VENV)/.made-for 2>/dev/null)))
STALE := stale
endif

.PHONY: help demo window test lint docs man azurite kill bench bench-full clean stale

help:
	@echo 'make demo         try it on the sample site'
	@echo 'make window       try it in a desktop program (Qt)'
	@echo 'make test         run all checks and tests'
	@echo 'make lint         run only the checks'
	@echo 'make docs         build the documentation as a web site'
	@echo 'make azurite      install the Azure that the tests run against, with npm'
	@echo 'make man          write docs/man/staticstore.1, the page of the manual'
	@echo 'make kill         kill mirrors and publishes at 200 random instants (takes minutes)'
	@echo 'make bench        compare it with similar libraries (takes a few minutes)'
	@echo 'make bench-full   the same with a million entries, written to RESULTS.md'
	@echo 'make clean        remove what the other targets made'

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

# From nothing, so that a warning cannot hide in what an earlier run has read.
docs: $(VENV)/.dev
	@rm -rf docs/_build
	@$(RUN) -m sphinx -b html -q -W --keep-going -j auto -d docs/_build/doctrees docs docs/_build/html
	@echo '$(CURDIR)/docs/_build/html/index.html'

man: $(VENV)/.dev
	@$(RUN) -m sphinx -E -b man -q -W -d $(VENV)/doctrees docs/man $(VENV)/man
	@cp $(VENV)/man/staticstore.1 docs/man/staticstore.1

# The Azure of the tests, which are skipped without it: 60 MB of npm's packages.
AZURITE := .cache/azurite

azurite: $(AZURITE)/.installed

$(AZURITE)/.installed: tests/servers/azurite/package.json
	@mkdir -p $(AZURITE) && cp -R tests/servers/azurite/. $(AZURITE)
	@command -v npm > /dev/null || { echo 'npm is not here: the tests with Azurite are skipped'; exit 0; }; \
	if npm install --prefix $(AZURITE) --omit=optional --ignore-scripts --no-package-lock --no-audit --no-fund --silent \
	    --fetch-retries=1 --fetch-timeout=30000; \
	then touch $@; else echo 'npm cannot install Azurite: its tests are skipped'; fi

kill: $(VENV)/.dev
	@$(RUN) -m tests.site.killed_at_random 200

bench: $(VENV)/.bench
	@$(RUN) -m benchmarks

bench-full: $(VENV)/.bench
	@$(RUN) -m benchmarks --entries 1000000 --value 1024 --rounds 7 --write

clean:
	rm -rf $(VENV) docs/_build .cache .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis

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
	@$(MAKE) --no-print-directory azurite
	@touch $@ $(VENV)/.demo $(VENV)/.window

$(VENV)/.bench: $(VENV)/.dev
	@$(RUN) -m pip install --quiet --group bench
	@touch $@
