BIN := .venv/bin
# Tests wait more than they work: three of them for two processors, and of those that wait for whole fleets four.
CORES := $(shell nproc)
PYTEST := $(BIN)/pytest -q --dist worksteal
BUSY := -n $(shell expr $(CORES) \* 3 / 2)
WAITING := -n $(shell expr $(CORES) \* 2)
# They start thousands of processes, so what Python compiles is kept, whatever the environment says of that.
unexport PYTHONDONTWRITEBYTECODE
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock" --no-emit-index-url --no-emit-find-links
LINTS := lint-ruff lint-format lint-types lint-imports lint-deps lint-shell lint-tests
# Debian packages that the slow tests, the fleet's and a release's stand on
TEST_TOOLS := nginx-light iproute2 faketime postgresql systemd prometheus prometheus-pushgateway prometheus-alertmanager

.PHONY: help setup test smoke test-fleet slow test-release test-tools lint $(LINTS) format lock build clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: ## everything that the other targets need, in .venv; costs nothing the second time
	@deploy/setup.sh

test: lint ## lints, types, import rules, and all tests but the slow ones, the fleet's and a release's
	$(PYTEST) $(BUSY) -m "not slow and not fleet and not release"

smoke: setup ## all checks, with a real browser, against the stand-in; what it leaves is removed, unless it fails
	@state=$$(mktemp -d) && \
	{ $(BIN)/smokeprobe standin --port 0 -- $(BIN)/smokeprobe run --env local --state-dir "$$state" --json-file "$$state/report.json" \
	&& rm -rf "$$state"; } || { code=$$?; echo "state and report are kept in $$state"; exit $$code; }

test-fleet: setup ## masters and workers as real processes, three regions in networks of their own; root and test-tools needed
	$(PYTEST) $(WAITING) -m fleet

slow: setup ## the slow tests; root and test-tools needed
	$(PYTEST) $(WAITING) -m slow

test-release: setup ## before a release: long ones, of which the other tests show the like; root and test-tools needed
	$(PYTEST) $(WAITING) -m release

test-tools: ## what the slow tests and the fleet's need of Debian; installed when root
	@dpkg -s $(TEST_TOOLS) >/dev/null 2>&1 || { apt-get update -qq && apt-get install -qq -y --no-install-recommends $(TEST_TOOLS); }

.PHONY: bench bench-tools
bench: setup ## measurements against their goals; only some: BENCH="wire memory"; kept in docs/performance.md: BENCH=--write
	@$(BIN)/python -m tests.bench $(BENCH)

.PHONY: bench-alerts
bench-alerts: setup ## how often a healthy target is called ill, and how soon an outage is told of: docs/alert-quality.md with BENCH=--write
	@$(BIN)/python -m tests.bench.alerts $(BENCH)

bench-tools: test-tools ## what the measurements need besides: the peer from npm
	@command -v npm >/dev/null || { echo "npm is missing: apt-get install npm" && exit 1; }
	npm ci --prefix tests/bench/playwright

lint: setup ## all lints at once
	@$(MAKE) --no-print-directory -j --output-sync=target $(LINTS)

lint-ruff:
	$(BIN)/ruff check --quiet

lint-format:
	$(BIN)/ruff format --check --quiet

lint-types:
	$(BIN)/mypy --no-error-summary

lint-imports:
	$(BIN)/lint-imports --no-logo

lint-deps:
	$(BIN)/deptry . --no-ansi

lint-shell:
	@PATH="$(CURDIR)/$(BIN):$$PATH"; [ "$$(uname -m)" = x86_64 ] || command -v shellcheck || { echo "no shellcheck for this processor" && exit; }; \
	shellcheck deploy/*.sh .ci/run

# That all tests can be collected. What pytest makes of their files is kept: each of its processes would make it anew.
lint-tests:
	@said=$$($(BIN)/pytest -q --collect-only -n 0 2>&1) || { printf '%s\n' "$$said" | tail -40; exit 1; }

format: setup ## mend what ruff can mend
	$(BIN)/ruff check --quiet --fix && $(BIN)/ruff format --quiet

lock: setup ## write both lock files anew; upgrade one with: make lock UPGRADE="--upgrade-package NAME"
	$(LOCK) $(UPGRADE) pyproject.toml --output-file requirements.lock
	$(LOCK) $(UPGRADE) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock

build: setup ## the wheel, in dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove everything that make has made
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
