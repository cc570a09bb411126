# Needs Python 3.11 or newer and make; everything else goes into .venv, locked by hash.
# Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
# more than cores: tests wait for processes, sockets and time as often as they compute
WORKERS ?= 3
SOAK_ROUNDS ?= 20

VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# The names hold the version, so that another PYTHON makes the environment anew.
RUN := $(VENV)/.run-$(VERSION)
DEV := $(VENV)/.dev-$(VERSION)

PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
HASHED := $(PIP) --require-hashes --no-build-isolation

# A release must be this old before it is locked; the two named are first-party SDKs that only
# tests use and that are wanted newest (docs/decisions/0002-locked-requirements.md).
COOLDOWN := 7 days
EARLY := --exclude-newer-package "google-genai=1 day" --exclude-newer-package "openai=1 day"
LOCK := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
	--exclude-newer "$(COOLDOWN)" $(LOCK_ARGS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo demo-server test check docs soak bench bench-peers npm coverage mutation lock clean \
	format lint types contracts shape tests

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: $(RUN) ## Make two 4K pictures with the local emulator: no key, no cost
	@mkdir -p demo-output
	@$(DEMO) --aspect 1:1 -o demo-output/square.jpg
	@$(DEMO) --aspect 16:9 -o demo-output/wide.jpg
	@echo
	@$(BIN)/python -c "$$MEASURE" demo-output/square.jpg demo-output/wide.jpg

DEMO = HELIOGRAPH_SIMULATE=1 HELIOGRAPH_HOME="$(CURDIR)/demo-output/library" \
	$(BIN)/heliograph generate "A lighthouse on a cliff at golden hour" --size 4k --force

# Opened by libvips, not by Heliograph: a second opinion on what was made.
define MEASURE
import pathlib, sys, pyvips
for name in sys.argv[1:]:
    image = pyvips.Image.new_from_file(name, access="sequential", fail_on="warning")
    image.avg()
    size = pathlib.Path(name).stat().st_size / 1e6
    print(f"{name}: {image.width} x {image.height} px, {size:.1f} MB, simulated")
endef
export MEASURE

demo-server: $(DEV) ## Start the gateway, make one call with each SDK, print costs, stop it
	@$(BIN)/python -m bench.demo_server

test: format lint types contracts tests ## Check everything; the same command runs in CI

check: format lint types contracts shape ## Check what is quick: format, lint, types, contracts, shape

format: $(DEV)
	@echo "== format"
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ."; exit 1; }

lint: $(DEV)
	@echo "== lint"
	@$(BIN)/ruff check --quiet .

types: $(DEV)
	@echo "== types"
	@$(BIN)/mypy

# Without its cache, which believes that a module added since does not exist.
contracts: $(DEV)
	@echo "== contracts"
	@said=$$($(BIN)/lint-imports --no-logo --no-cache 2>&1) || { echo "$$said"; exit 1; }

shape: $(DEV)
	@echo "== shape"
	@$(BIN)/python -m pytest tests/shape

tests: $(DEV)
	@echo "== tests"
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

docs: $(DEV) ## Write the generated reference pages anew
	$(BIN)/python -m heliograph.planning.reference docs/reference
	$(BIN)/python -m heliograph.cli.reference docs/reference

soak: $(DEV) ## Kills, faces, loads, schemas, then property tests SOAK_ROUNDS times (20)
	$(BIN)/heliograph chaos run KS --report soak-output/chaos.json
	$(BIN)/heliograph chaos all --face openai --report soak-output/chaos-openai.json
	$(BIN)/heliograph chaos all --face gemini --report soak-output/chaos-gemini.json
	SCHEMATHESIS_EXAMPLES=1000 $(BIN)/python -m pytest tests/server/native/test_contract.py \
		--timeout 7200
	$(BIN)/python -m bench.loads all --long --json soak-output/loads.json
	@for seed in $$(seq 1 $(SOAK_ROUNDS)); do \
		echo "== soak, seed $$seed of $(SOAK_ROUNDS)"; \
		$(BIN)/python -m pytest -m hypothesis -n $(WORKERS) --timeout 1800 \
			--hypothesis-profile soak --hypothesis-seed $$seed || exit 1; \
	done

bench: $(DEV) ## Measure one 4K image from request to file, and what certainty costs
	$(BIN)/python -m bench.one_image
	$(BIN)/python -m bench.overhead
	$(BIN)/python -m bench.gateway

bench-peers: $(DEV) $(PEERS)/.made-$(VERSION) ## Measure the gateway beside LiteLLM's proxy
	$(BIN)/python -m bench.gateway $(PEERS_ARGS)

npm: $(DEV) ## Let OpenAI's npm package use a gateway; needs Node.js 20 or newer
	@command -v npm >/dev/null || { echo "Node.js is needed, with its npm."; exit 1; }
	@cd tests/npm && npm ci --ignore-scripts
	@$(BIN)/python -m pytest tests/server/npm

coverage: $(DEV) ## Hold the branch coverage of the pure heart at 100 %
	@$(BIN)/python -m tests.mutation.covered

mutation: $(DEV) ## Change the pure heart in 1,700 ways; the tests must notice (10 minutes)
	@$(BIN)/python -m tests.mutation.run --workers $(WORKERS) $(MUTATION_ARGS)

lock: $(DEV) ## Lock the requirements anew; LOCK_ARGS=--upgrade takes newer releases
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) pyproject.toml -c requirements/build.txt -o requirements/run.txt
	$(LOCK) pyproject.toml -c requirements/build.txt -c requirements/run.txt --group dev $(EARLY) \
		-o requirements/dev.txt
	$(LOCK) requirements/peers.in -o requirements/peers.txt

clean: ## Remove caches, builds and demo pictures; .venv stays
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf .coverage .coverage.* dist build demo-output soak-output
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made-$(VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "== $(VENV) with Python $(VERSION)"
	@rm -f $(VENV)/.made-* $(VENV)/.run-* $(VENV)/.dev-*
	@test "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" \
		= "$(VERSION)" || $(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(RUN): $(VENV)/.made-$(VERSION) requirements/build.txt requirements/run.txt pyproject.toml
	@echo "== requirements to run"
	@$(PIP) --require-hashes --only-binary :all: -r requirements/build.txt
	@$(HASHED) -r requirements/run.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# What we compare with; nothing of it is needed for anything else.
$(PEERS)/.made-$(VERSION): requirements/peers.txt
	@echo "== $(PEERS) with Python $(VERSION)"
	@$(PYTHON) -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install --disable-pip-version-check --quiet \
		--require-hashes --only-binary :all: -r requirements/peers.txt
	@touch $@

$(DEV): $(RUN) requirements/dev.txt
	@echo "== requirements to develop"
	@$(HASHED) -r requirements/dev.txt
	@touch $@
