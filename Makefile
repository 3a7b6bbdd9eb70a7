# The same targets serve contributors and CI. They need make, Python and pip; everything
# else comes, pinned by requirements.lock, into .venv.

PYTHON ?= python3
VENV := .venv
PROOFS := tests/exporters tests/contract tests/checker/test_seeded.py tests/object_graph tests/prove tests/writer/test_faults.py tests/writer/test_recovery.py tests/writer/test_power_cuts.py tests/writer/test_between_lines.py tests/fuzz tests/differential tests/runtime/test_hostile_models.py tests/runtime/test_light_loader.py tests/cli/test_suggest.py tests/docs/test_sessions.py tests/stores/test_race.py tests/stores/test_faults.py tests/runtime/test_process.py tests/test_bad_input.py tests/warm_up/test_writing.py
# Where hypothesis draws, which tries more examples then.
DRAWN := $(filter-out $(PROOFS) $(PROOFS:=/%),$(shell grep -rl --include='test_*.py' '^@given' tests))
RUN := $(VENV)/bin/python

# An environment is good for one Python and one place: its scripts hold absolute paths.
STAMP := $(shell $(PYTHON) -c 'import os, sys, zlib; print("%d.%d-%08x" % (*sys.version_info[:2], zlib.crc32(os.fsencode(os.getcwd()))))')
LOCKED := $(VENV)/locked-$(STAMP)
READY := $(VENV)/ready-$(STAMP)

# Kept out of the recipes' own words, and in force whatever the user's settings are.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_USER := 0

# The tests start hundreds of processes, each of which would compile smpatch anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test quick prove fuzz page stores matrix check bench fixtures schema lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s%s\n", $$1, $$2 }' Makefile
	@echo 'Another Python (3.10 to 3.13): PYTHON=python3.12 make test'

demo: $(READY) ## Give a model that lacks one a serving signature, and show it
	@rm -rf .demo && mkdir .demo
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; export PATH; \
	run() { echo "$$ $$*"; "$$@"; }; \
	run cp -R fixtures/models/linear .demo/linear && \
	run cd .demo/linear && \
	run smpatch add-predict --inputs x:0 --outputs y:0 && \
	run smpatch show

test: $(READY) ## Run the whole test suite; SMPATCH_CORPUS names a directory of further models
	@$(RUN) -m pytest -n 2 --dist loadscope

# For every save. A test that starts a process with TensorFlow is skipped when it does so;
# hypothesis tries 20 examples.
quick: $(READY) ## Run the unit tests that need no TensorFlow, in less than a minute
	@$(RUN) -m pytest -n 2 -q --quick --dist worksteal -r fE $(filter-out tests/test_benchmark% tests/test_bad_input.py,$(wildcard tests/test_*.py)) tests/graph tests/proof tests/runs

# tf2onnx and OpenVINO judge as well where the dependency group `consumers` is installed.
# The table comes also when a proof fails, for a proof that failed has counted nothing.
prove: $(READY) ## Run the long proofs: both halves, crashes at every step, many writers at once
	@rm -rf build/prove
	@export SMPATCH_PROVE=1 SMPATCH_PROVE_LEDGER=$(CURDIR)/build/prove; \
	$(RUN) -m pytest -n 2 --dist loadscope $(PROOFS) $(DRAWN); code=$$?; \
	SMPATCH_FUZZ_SECONDS=$${SMPATCH_FUZZ_SECONDS:-10} $(RUN) -m tests.fuzz.guided || code=1; \
	$(RUN) -m tests.prove.table build/prove $(ARGS) && exit $$code

# In a Chromium of the system, by Playwright of the dependency group `page`; where one is missing,
# the tests that need it are skipped by name. The pictures come into build/page.
page: $(READY) ## Test the page of --html in a headless Chromium, and take its picture
	@$(RUN) -m pytest -r s tests/page

# Guided by what the bytes reach where the dependency group `fuzz` is installed, for
# SMPATCH_FUZZ_SECONDS in each room; what it finds is kept in build/fuzz/guided.
fuzz: $(READY) ## Try hostile bytes and random edits; SMPATCH_FUZZ says how many of each kind
	@rm -rf build/fuzz
	@export SMPATCH_FUZZ=$${SMPATCH_FUZZ:-2000} SMPATCH_PROVE_LEDGER=$(CURDIR)/build/fuzz; \
	$(RUN) -m pytest -n 2 tests/fuzz tests/differential; code=$$?; \
	$(RUN) -m tests.fuzz.guided || code=1; \
	$(RUN) -m tests.prove.table build/fuzz && exit $$code

# The servers are those of the dependency group `stores`; npm's Azurite is found as `azurite-blob`
# or where SMPATCH_AZURITE says, npm's s3rver as `s3rver` or where SMPATCH_S3RVER says. What is not
# installed is skipped by name.
stores: $(READY) ## Run the tests of models in object stores, against servers on loopback
	@$(RUN) -m pytest -n 2 tests/stores

# The environment is for the old_releases, old releases whose models the smpatch in it edits.
matrix: $(READY) ## Run the tests on Python 3.10 to 3.13, the oldest and the newest TensorFlow
	@$(PYTHON) -m tests.matrix $(ARGS)

check: $(READY) ## Check format, lint, types and the order of imports
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-cache --no-logo

bench: $(READY) ## Measure smpatch against its rivals
	@$(RUN) -m tests.benchmarks $(ARGS)

fixtures: $(READY) ## Rebuild the models in fixtures/ by the scripts beside them
	$(RUN) -m fixtures.make $(ARGS)
	@$(if $(ARGS),,$(RUN) -m fixtures.make.exporters)

schema: $(READY) ## Compile smpatch/schema/saved_model.proto
	$(RUN) -m grpc_tools.protoc -Ismpatch/schema --descriptor_set_out=smpatch/schema/saved_model.binpb saved_model.proto

# The one target that needs more: the resolver, in an environment of its own. Versions that
# are in the lock stay; `make lock ARGS=--upgrade` moves them.
lock: ## Write requirements.lock anew from pyproject.toml
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet uv==0.13.9
	env -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
	build/lock/bin/uv --quiet pip compile --no-config --universal --python-version 3.10 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command 'make lock' $(ARGS) \
	  --group dev --output-file requirements.lock pyproject.toml

clean: ## Remove everything that the other targets made, the environment too
	rm -rf .venv .demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find smpatch tests fixtures -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml $(LOCKED)
	@$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Some systems package Python without the pip that a new environment gets; the installed one
# then has to reach into it.
$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
	  { echo 'smpatch needs Python 3.10 to 3.13, as TensorFlow does; try: PYTHON=python3.12 make' >&2; exit 1; }
	@echo 'Making $(VENV) from requirements.lock (TensorFlow is big: a few minutes)'
	@$(PYTHON) -m venv --clear $(VENV) 2>/dev/null || \
	  { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(VENV) install --quiet pip; }
	@$(RUN) -m pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@
