# Everything goes through .venv, which each target sets up by itself: Python >= 3.11 and make are all that is needed.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all:

BROKER_TESTS := $(addprefix tests/integration/,test_broker_absence.py test_broker_refusals.py test_embedded_broker.py test_group_lag.py \
	test_hung_broker.py test_new_group_protocol.py test_transport.py)
ACCESS_TESTS := $(addprefix tests/integration/,test_logins.py test_rights.py test_tls.py)

.PHONY: run test test-rules test-changes test-brokers test-access test-workers check format bench bench-growth bench-peers profile chaos soak simulate lock clean help
.DELETE_ON_ERROR:

help: ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: .venv/.run ## Count a text on a local Kafka: TEXT=path or -, ONCE=1 to end with a verified result.
	@$(BIN)/wordcount run $(if $(TEXT),--text "$(TEXT)") $(if $(ONCE),--once)

test: .venv/.dev ## All tests, four parts at a time: most of them wait for processes.
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=line test-rules test-changes test-brokers test-workers test-access

test-rules: .venv/.dev
	$(BIN)/pytest -p no:cacheprovider tests/performance tests/policy tests/property tests/simulation tests/unit

test-changes: .venv/.dev
	$(BIN)/pytest -p no:cacheprovider tests/chaos tests/integration/test_c*.py

test-brokers: .venv/.dev
	$(BIN)/pytest -p no:cacheprovider $(BROKER_TESTS)

test-access: .venv/.dev
	$(BIN)/pytest -p no:cacheprovider $(ACCESS_TESTS)

test-workers: .venv/.dev
	$(BIN)/pytest -p no:cacheprovider tests/integration --ignore-glob='*/test_c*.py' $(addprefix --ignore=,$(BROKER_TESTS) $(ACCESS_TESTS))

check: .venv/.dev ## Style, types, imports.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev ## Rewrite the code in house style.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: .venv/.dev ## Measure speed, latency, restore: twenty minutes, all or CASES="..."; writes bench/results/latest.json.
	$(BIN)/python -m bench.run $(CASES)
	$(BIN)/python -m bench.table

bench-growth: .venv/.dev ## Measure how speed changes with words, partitions, lines, workers: PARTS="...".
	$(BIN)/python -m bench.growth $(PARTS)
	$(BIN)/python -m bench.table

profile: .venv/.dev ## Flame graph of a worker that counts a backlog, and its top functions.
	$(BIN)/python -m bench.flame

bench-peers: .venv/.dev ## Compare with other word counts: PEERS=name,name RUNS=n for less; all writes bench/results/peers.json.
	@PEERS="$(PEERS)" RUNS="$(RUNS)" $(BIN)/python -m bench.peers

chaos: .venv/.dev ## Kill and starve workers and broker, compare every count: CHAOS_SEEDS=3 CHAOS_MINUTES=5.
	CHAOS_SEEDS=$(or $(CHAOS_SEEDS),3) CHAOS_MINUTES=$(or $(CHAOS_MINUTES),5) CHAOS_FIRST_SEED=$(CHAOS_FIRST_SEED) \
		$(BIN)/python -m tests.chaos.chaos

soak: .venv/.dev ## Count steadily for SOAK_MINUTES=15; memory and descriptors must not grow, no count may differ.
	SOAK_MINUTES=$(or $(SOAK_MINUTES),15) $(BIN)/python -m tests.chaos.soak

simulate: .venv/.dev ## Simulate crashes, torn flushes and zombies: SEEDS=100000, or one schedule again: SEED=17 STEPS=3-9,41.
	$(if $(SEED),$(BIN)/python -m tests.simulation.replay $(SEED) $(STEPS),\
		SIMULATION_SEEDS=$(or $(SEEDS),100000) $(BIN)/pytest tests/simulation/test_simulation.py --timeout 0)

lock: .venv/.dev ## Compile requirements/*.txt anew from pyproject.toml.
	$(BIN)/python requirements/lock.py

clean: ## Remove the environment and the data of `make run`.
	rm -rf .venv .wordcount

# The environment. A stamp per set of packages: `make run` does not wait for the tools of `make test`.
.venv/.run: requirements/run.txt requirements/build.txt pyproject.toml | .venv/bin/python
	@echo "Setting up .venv (once) ..."
	@$(PIP) -r requirements/build.txt -r requirements/run.txt
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.run
	@echo "Adding the tools for tests (once) ..."
	@$(PIP) -r requirements/dev.txt
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 15) else "wordcount: Python %d.%d is not supported; install Python 3.11 to 3.14, or name one: make PYTHON=python3.13" % v)'
	@$(PYTHON) -m venv .venv || { echo "wordcount: $(PYTHON) cannot make a virtual environment; install its venv package (Debian: python3-venv)" >&2; exit 1; }
