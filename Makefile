# All targets use .venv, which each target sets up if needed; only Python 3.11 to 3.14 and make must be installed.
PYTHON ?= python3
BIN := .venv/bin
# Modules are compiled when they are first imported: to compile all of them would take longer than all else of an installation.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile --require-hashes --only-binary :all:

.PHONY: help run test-fast test-fast-unit test-fast-rules format check test test-simulation test-planted test-rules test-changes test-brokers test-access test-workers test-browser \
	simulate chaos chaos-reads soak kubernetes bench bench-growth bench-peers bench-peers-windowed profile lock sbom clean
.DELETE_ON_ERROR:

# `make help` prints these comments: `## time on two cores | what the target does, with its variables and their defaults`.
help: ## moment | This list.
	@awk -F ' *## *' '/^##@/ { printf "\n%s\n", substr($$0, 5); next } /^[a-z-]+:.* ## / { split($$1, target, ":"); split($$2, says, " [|] "); \
		printf "  make %-15s %-10s %s\n", target[1], says[1], says[2] }' $(firstword $(MAKEFILE_LIST))

##@ First day
run: .venv/.run ## 1 min | Count a text on a local Kafka: TEXT=path or -, ONCE=1 to end with a verified result, LOOP=1 or 0 to send it again or not.
	@$(BIN)/wordcount run $(if $(TEXT),--text "$(TEXT)") $(if $(ONCE),--once) $(if $(LOOP),$(if $(filter 0,$(LOOP)),--no-loop,--loop))

##@ While changing (one test: .venv/bin/pytest tests/unit -k tokenizer)
test-fast: .venv/.dev ## 1 min | What needs no broker and no patience: the two parts below at once; SEEDS=300 simulated schedules.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line test-fast-unit test-fast-rules

test-fast-unit: .venv/.dev ## 45 s | Its modules alone.
	$(BIN)/pytest -p no:cacheprovider -m "not slow" tests/unit

test-fast-rules: .venv/.dev ## 45 s | Its documents, chart, definitions and schedules.
	SIMULATION_SEEDS=$(or $(SEEDS),300) $(BIN)/pytest -p no:cacheprovider -m "not slow" tests/policy tests/property tests/simulation

format: .venv/.dev ## seconds | Rewrite the code in house style.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

##@ Before a commit
check: .venv/.dev ## seconds | Style, types, imports.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/.dev ## 35 min | All tests: the eight parts below, four at a time, as most of them wait for processes.
	@$(MAKE) --no-print-directory --jobs=4 --keep-going --output-sync=line \
		test-simulation test-workers test-changes test-rules test-brokers test-access test-planted test-browser

# The three parts that compute all the time leave the cores to the parts that measure time.
test-simulation: .venv/.dev ## minutes | 3160 simulated schedules, 3000 of them with windows.
	nice $(BIN)/pytest -p no:cacheprovider $(filter-out %/test_mutants.py,$(wildcard tests/simulation/test_*.py))

test-planted: .venv/.dev ## minutes | Bugs planted in the tables, each of which the simulation has to find.
	nice $(BIN)/pytest -p no:cacheprovider tests/simulation/test_mutants.py

test-rules: .venv/.dev ## minutes | All else that needs no broker, but a promtool: apt-get install -y --no-install-recommends prometheus.
	nice $(BIN)/pytest -p no:cacheprovider tests/performance tests/policy tests/property tests/unit

test-changes: .venv/.dev ## minutes | Changed and hostile data; workers that are killed.
	$(BIN)/pytest -p no:cacheprovider tests/chaos tests/integration/data

test-brokers: .venv/.dev ## minutes | Brokers that hang, refuse, are away; Faust and aiokafka as they are built on.
	$(BIN)/pytest -p no:cacheprovider tests/integration/kafka

test-access: .venv/.dev ## minutes | TLS, logins, rights; watches and their receivers.
	$(BIN)/pytest -p no:cacheprovider tests/integration/access tests/integration/watches

test-workers: .venv/.dev ## minutes | Workers from start to end, commands, consistent reads; other word counts.
	$(BIN)/pytest -p no:cacheprovider $(addprefix tests/integration/,workers cli reads bench)

test-browser: .venv/.dev ## 2 min | The live page in a Chromium, which has to be there: apt-get install -y --no-install-recommends chromium.
	$(BIN)/pytest -p no:cacheprovider tests/browser

##@ Long runs
simulate: .venv/.dev ## 80 min | Simulate crashes and zombies: SEEDS=100000, or one schedule again: SEED=17 STEPS=3-9,41.
	$(if $(SEED),$(BIN)/python -m tests.simulation.replay $(SEED) $(STEPS),\
		SIMULATION_SEEDS=$(or $(SEEDS),100000) $(BIN)/pytest tests/simulation/test_simulation.py --timeout 0)

chaos: .venv/.dev ## 20 min | Kill and starve workers and broker, compare all counts: CHAOS_SEEDS=3 CHAOS_MINUTES=5 CHAOS_FIRST_SEED=n CHAOS_WINDOWS=1.
	CHAOS_WINDOWS=$(CHAOS_WINDOWS) CHAOS_SEEDS=$(or $(CHAOS_SEEDS),3) CHAOS_MINUTES=$(or $(CHAOS_MINUTES),5) CHAOS_FIRST_SEED=$(CHAOS_FIRST_SEED) \
		$(BIN)/python -m tests.chaos.chaos

chaos-reads: .venv/.dev ## 12 min | Ask for anything while workers are killed, and judge every answer: READS_MINUTES=10 READS_MODE=restarts READS_SEED=n.
	READS_MINUTES=$(or $(READS_MINUTES),10) READS_MODE=$(READS_MODE) READS_SEED=$(READS_SEED) $(BIN)/python -m tests.chaos.reads

soak: .venv/.dev ## 15 min | Count steadily, SOAK_MINUTES=15: memory and descriptors must not grow, no count may differ.
	SOAK_MINUTES=$(or $(SOAK_MINUTES),15) $(BIN)/python -m tests.chaos.soak

kubernetes: .venv/.dev ## 10 min | The chart on the cluster of kubectl: HOST=address of this machine that pods reach, IMAGE=repository:tag that nodes have.
	@HOST="$(HOST)" IMAGE="$(IMAGE)" $(BIN)/python -m tests.kubernetes.trial

##@ Measure and release
bench: .venv/.dev ## 20 min | Measure speed, latency, restore, or CASES="..."; writes bench/results/latest.json and the documents.
	$(BIN)/python -m bench.run $(CASES)
	$(BIN)/python -m bench.table

bench-growth: .venv/.dev ## hours | Measure what more words, partitions, lines, workers change, or PARTS="..."; writes the documents.
	$(BIN)/python -m bench.growth $(PARTS)
	$(BIN)/python -m bench.table

bench-peers: .venv/.dev ## 20 min | Compare with other word counts, or PEERS=name,name RUNS=n; all writes bench/results/peers.json.
	@PEERS="$(PEERS)" RUNS="$(RUNS)" $(BIN)/python -m bench.peers

bench-peers-windowed: .venv/.dev ## 10 min | The same per minute of event time, RECORDS_PER_S=100000; writes bench/results/peers-windowed.json.
	@PEERS="$(PEERS)" RUNS="$(RUNS)" $(BIN)/python -m bench.peers --windowed --records-per-s "$(or $(RECORDS_PER_S),100000)"

profile: .venv/.dev ## 2 min | Flame graph of a worker that counts a backlog, and its top functions.
	$(BIN)/python -m bench.flame

lock: .venv/.dev ## 1 min | Compile requirements/*.txt anew from pyproject.toml.
	$(BIN)/python requirements/lock.py

sbom: .venv/.dev ## seconds | Write what the image holds of Python (CycloneDX 1.6) to dist/: the same lock file, the same bytes.
	$(BIN)/python requirements/sbom.py

clean: ## moment | Remove the environment and the data of `make run`.
	rm -rf .venv .wordcount

# The environment has a stamp file per set of packages, so that `make run` does not wait for the tools of `make test`.
.venv/.run: requirements/run.txt requirements/build.txt pyproject.toml | .venv/bin/python
	@echo "Setting up .venv (once) ..."
	@$(PIP) -r requirements/build.txt -r requirements/run.txt
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.run
	@echo "Adding the tools for tests (once) ..."
	@$(PIP) -r requirements/dev.txt
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 15) else "wordcount: Python %d.%d is not supported; install Python 3.11 to 3.14, or name one: make PYTHON=python3.13" % v)'
	@$(PYTHON) -m venv .venv || { echo "wordcount: $(PYTHON) cannot make a virtual environment; install its venv package (Debian: python3-venv)" >&2; exit 1; }
