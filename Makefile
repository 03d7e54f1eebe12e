# Every command of the project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# The first Python that is new enough; a pyenv shim may exist and still not run, so each is asked.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python3.14,$(if $(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes),$(p))))

.PHONY: help
help: ## list the commands
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environments ----------------------------------------------------------------------------------------------------

$(UV): requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt

# One stamp per lock file: what is installed is what is locked, and an unchanged lock costs nothing.
$(VENV)/local.stamp $(VENV)/dev.stamp: $(VENV)/%.stamp: requirements/%.txt pyproject.toml | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r $<
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# Tools that pin what ours wants newer live in environments of their own; and so does the laptop's AWS.
SAM := .venv-sam/bin/sam
CHECKOV := .venv-checkov/bin/checkov
.venv-engine/stamp .venv-sam/stamp .venv-checkov/stamp: .venv-%/stamp: requirements/%.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(BIN)/python .venv-$*
	$(UV) pip install --quiet --python .venv-$*/bin/python --require-hashes -r $<
	@touch $@

.PHONY: install
install: $(VENV)/dev.stamp .venv-engine/stamp ## install what developing needs, into .venv; and the laptop's AWS

.PHONY: lock
lock: $(UV) ## compile requirements/*.in into locked requirements/*.txt
	cd requirements && for name in uv layer local dev engine sam checkov runtime usual bench; do \
	  ../$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --custom-compile-command 'make lock' $(LOCK_FLAGS) $$name.in -o $$name.txt; done

# --- on a laptop ----------------------------------------------------------------------------------------------------

.PHONY: demo local
demo: $(VENV)/local.stamp .venv-engine/stamp ## show the whole system at work, in half a minute
	@$(BIN)/python -m local.demo

local: $(VENV)/local.stamp .venv-engine/stamp ## run the embedded stack until Ctrl-C; PORT=3000, and what else local/__main__.py names
	@exec $(BIN)/python -m local --with-parent


# --- tests -----------------------------------------------------------------------------------------------------------

include lambda.mk

# The tests run on the newcomer's own Python and, where one is found, on the Lambda's.
.venv-lambda/stamp: requirements/dev.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(LAMBDA_PYTHON) .venv-lambda
	$(UV) pip install --quiet --python .venv-lambda/bin/python --require-hashes -r requirements/dev.txt
	$(UV) pip install --quiet --python .venv-lambda/bin/python --no-deps --no-build-isolation -e .
	@touch $@

# What the Lambda's Python brings by itself; and, to compare with in the benchmarks, what a usual function brings beside it.
.venv-runtime/stamp .venv-usual/stamp: .venv-%/stamp: requirements/%.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(LAMBDA_PYTHON) .venv-$*
	$(UV) pip install --quiet --compile-bytecode --python .venv-$*/bin/python --require-hashes -r $<
	@touch $@

.PHONY: runtime
runtime: .venv-runtime/stamp .venv-sam/stamp # Lambda's runtime, and the emulator of what surrounds it

# One worker for each processor; a file's tests share what they start.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: test test-here test-lambda-python
test: test-here $(if $(LAMBDA_PYTHON),test-lambda-python,) ## run every test that needs neither Docker nor AWS; PYTEST='-k word' narrows it
	@test -n "$(LAMBDA_PYTHON)" || echo "No Python $(RUNTIME) here, so the tests ran on $$($(BIN)/python -V) only."

test-here: $(VENV)/dev.stamp .venv-engine/stamp .venv-sam/stamp
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

test-lambda-python: .venv-lambda/stamp .venv-engine/stamp runtime
	.venv-lambda/bin/python -m pytest $(PARALLEL) -m 'not docker and not long' $(PYTEST)

.PHONY: coverage
coverage: $(VENV)/dev.stamp .venv-engine/stamp .venv-sam/stamp ## say which lines of functions and layer no test runs; takes half as long again
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL) $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: model
model: $(VENV)/dev.stamp ## try 20,000 histories on the ledger and the outcomes, some minutes; MODEL_EXAMPLES=... for another number
	MODEL_EXAMPLES=$(or $(MODEL_EXAMPLES),20000) $(BIN)/python -m pytest tests/unit/test_ledger_model.py $(PYTEST)

.PHONY: test-docker
test-docker: $(VENV)/dev.stamp .venv-sam/stamp ## drive sam local with every sample event; needs Docker, takes minutes
	DOCKER_TESTS=1 $(BIN)/python -m pytest -m docker tests/e2e/test_sam_local.py $(PYTEST)

# --- checks ----------------------------------------------------------------------------------------------------------

export SAM_CLI_TELEMETRY ?= 0

.PHONY: lint lint-code lint-template
lint: lint-code lint-template ## check the code and the template

lint-code: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lint-template: $(VENV)/dev.stamp .venv-sam/stamp .venv-checkov/stamp
	$(BIN)/cfn-lint template.yaml .github/deploy-role.yaml
	$(SAM) validate --lint --region eu-west-1
	$(CHECKOV) --config-file .checkov.yaml

# --- benchmarks ------------------------------------------------------------------------------------------------------

.venv-bench/stamp: requirements/bench.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(BIN)/python .venv-bench
	$(UV) pip install --quiet --python .venv-bench/bin/python --require-hashes -r requirements/bench.txt
	$(UV) pip install --quiet --python .venv-bench/bin/python --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: bench bench-export bench-cold-start
bench: bench-cold-start bench-export ## measure what docs/performance.md says; takes half an hour and wants a machine that does nothing else

bench-export: .venv-bench/stamp
	.venv-bench/bin/python -m tests.benchmarks.export $(BENCH)

bench-cold-start: $(VENV)/dev.stamp runtime .venv-usual/stamp
	$(BIN)/python -m tests.benchmarks.cold_start
	$(BIN)/python -m tests.benchmarks.warm
	$(BIN)/python -m tests.benchmarks.hostile

.PHONY: docs
docs: $(VENV)/local.stamp ## write docs/configuration.md anew from the template, draw docs/export-ways.svg from its table, and note which Russian pages lag
	$(BIN)/python -m docs.generate.configuration > docs/configuration.md
	$(BIN)/python -m docs.generate.ways_picture
	$(BIN)/python -m docs.generate.ru

.PHONY: analytics
analytics: $(VENV)/dev.stamp ## write the views and saved queries of docs/queries into the template
	$(BIN)/python -m docs.generate.analytics

# --- building and deploying ------------------------------------------------------------------------------------------

# The processor of the functions, and so of the layer's wheels: the deployed stack's, as samconfig.toml knows it.
ARCH ?= $(or $(shell sed -nE 's/.*Architecture=\\?"?([a-z0-9_]+).*/\1/p' samconfig.toml),arm64)

.PHONY: build
build: .venv-sam/stamp ## build the functions and the layer (ARCH=arm64 or x86_64)
	$(SAM) build --parameter-overrides Architecture=$(ARCH) $(if $(BUILD_DIR),--build-dir $(BUILD_DIR))

# The built functions in the Lambda base image under Docker, against a `make local` that containers can reach.
HERE_ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
HERE_BUILD := build/here
API_PORT ?= 3001
.PHONY: invoke-activate invoke-export start-api docker-engine
docker-engine:
	@docker version >/dev/null || { echo "No Docker engine answers, and sam local needs one. Without Docker, make local runs the same functions."; exit 1; }
invoke-activate: SAM_LOCAL = invoke ActivateFunction --event $(or $(EVENT),events/direct-activate.json) ## run activate by `sam local`; EVENT=events/...
invoke-export: SAM_LOCAL = invoke ExportAllFunction --event $(or $(EVENT),events/direct-export.json) ## run export_all by `sam local`; EVENT=events/...
start-api: SAM_LOCAL = start-api --port $(API_PORT) --warm-containers LAZY ## serve the API by `sam local`; API_PORT=3001
$(HERE_BUILD)/template.yaml: template.yaml lambda.mk requirements/layer.txt $(shell find functions layers -type f -not -name '*.pyc')
	@$(MAKE) --no-print-directory build ARCH=$(HERE_ARCH) BUILD_DIR=$(HERE_BUILD) >&2
invoke-activate invoke-export start-api: docker-engine $(VENV)/local.stamp .venv-sam/stamp $(HERE_BUILD)/template.yaml
	@exec $(BIN)/python -m local.sam_local $(CURDIR)/$(SAM) $(HERE_BUILD) $(SAM_LOCAL)

# DEPLOY is for those who know what they want of `sam deploy`: it gets these options, and nothing is asked or kept.
.PHONY: deploy
deploy: export RELEASE := $(shell date -u +%Y%m%dT%H%M%SZ)
deploy: export ARCH := $(ARCH)
deploy: $(if $(DEPLOY),,$(VENV)/local.stamp) build ## deploy into your AWS account; asks four things, the first time only; YES=1 deploys the changes unseen
	$(if $(DEPLOY),$(SAM) deploy $(DEPLOY),@exec $(BIN)/python -m ops.deploy)

.PHONY: package
package: export ARCH := $(ARCH)
package: build $(VENV)/local.stamp ## publish the build for quick-create links: BUCKET=name without its region, REGIONS='eu-central-1', VERSION=v1.0.0
	@exec $(BIN)/python -m ops.release

# --- operating ---------------------------------------------------------------------------------------------------------

# Each takes STACK=name or LOCAL=the api_url of a running `make local`; `python -m ops sources --help` and so on say what else.
.PHONY: token doctor sources explain redrive lookup export webhook backfill activate schedule
token: ## put the Altcraft token into the stack's secret: asks for it, or reads a pipe, as in make token STACK=name < token.txt
doctor: ## check a stack, and say what is missing next, with the remedy
sources: ## check webhook sources and upload them: FILE=sources.json; EXPLAIN=1 tries the samples first
explain: ## say what would become of a captured delivery: SOURCES=sources.json SOURCE=eu-shop FILE=order.json, and TYPE=its content type
redrive: ## queue the dead letters again
lookup: ## show what is true of a promo code, without using it: CODE=Code-1, LOYALTY_ID=5; without STACK in `make local`
export: ## export a program with its progress: LOYALTY_ID=6, FORMAT=csv, TO=folder or s3://...; without STACK from `make local`
webhook: ## sign and send a delivery: SOURCE=eu-shop, FILE=order.json; without STACK to `make local`
backfill: ## deliver the orders of a file: SOURCE=eu-shop FILE=orders.jsonl, RATE=20 a second, DRY_RUN=1; without STACK to `make local`
activate: ## activate the codes of a file: FILE=codes.csv, RATE=20 a second, DRY_RUN=1; without STACK by `make local`
schedule: ## fire the schedules of exports, as if their time had come; without STACK those of `make local`
token doctor sources explain redrive lookup export webhook backfill activate schedule: $(VENV)/local.stamp
	@exec $(BIN)/python -m ops $@
