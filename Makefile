PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file is one worker's: what its tests share is made once.
PARALLEL := -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-quick test-cluster slurm chromium test-faults test-gpu bench bench-scale compare coverage lint schema lock docs dag clean

demo: $(VENV)/ready
	$(BIN)/snakemake --cores all --workflow-profile workflow/profiles/default

test: $(VENV)/ready chromium
	$(BIN)/pytest $(PARALLEL)

# The browser in which pages are tested; without one, the tests of pages fail.
chromium:
	@command -v chromium > /dev/null || DEBIAN_FRONTEND=noninteractive timeout 300 \
		sh -c "apt-get --quiet update; apt-get --quiet --yes install chromium" || \
		echo "Chromium cannot be installed here; as root: apt-get install chromium" >&2

# What starts no run of the workflow, and takes no second.
test-quick: $(VENV)/ready
	$(BIN)/pytest $(PARALLEL) -m "not slow"

# On a SLURM of one node, this machine.
test-cluster: $(VENV)/ready slurm
	$(BIN)/pytest tests/cluster

slurm:
	command -v slurmctld > /dev/null || DEBIAN_FRONTEND=noninteractive timeout 300 \
		sh -c "apt-get --quiet update; apt-get --quiet --yes install slurm-wlm munge" || \
		{ echo "SLURM cannot be installed here; as root: apt-get install slurm-wlm munge" >&2; exit 1; }

# Runs killed, disks filled, runs at once, inputs mutated: how many were tried, and survived.
test-faults: $(VENV)/ready
	$(BIN)/python tests/faults

# CUDA beside the CPU, and how busy embedding keeps the card; without a card nothing is run, and it says so.
test-gpu: $(VENV)/ready
	$(BIN)/python tests/gpu

# Speed and memory, each figure beside a baseline, and what the advice is worth (about 50 minutes).
bench: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench

# What each stage costs per query, in shards, and neighbours of many, for docs/scale.md.
bench-scale: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/scale.py
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/neighbours.py

# Every router beside `ensemble` on the demo, and on other tables: make compare CONFIGS="my.yaml other.yaml".
compare: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/compare.py $(CONFIGS)

# How often intervals hold the truth, and whether the advice is right about itself (about 40 minutes).
coverage: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/coverage.py

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy

# The environment, exactly as locked: every file of it is checked against its hash.
$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --compile-bytecode --require-hashes --requirement requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --no-deps --no-build-isolation --editable .
	touch $@

lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header \
		--extra run --extra serve --extra transformers --group pyproject.toml:dev pyproject.toml --output-file requirements.lock

schema: $(VENV)/ready
	$(BIN)/python -m mmroute.config > workflow/schemas/config.schema.json

# The documentation, into site/; a warning fails it.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The drawing of the workflow, docs/architecture/dag.svg; dot is Graphviz's.
dag: $(VENV)/ready
	$(BIN)/python docs/architecture/dag.py

clean:
	rm -rf $(VENV) results/demo site
