# Shared by the makefiles of the layer and of the functions, which `sam build` calls with ARTIFACTS_DIR set.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

RUNTIME := 3.13
# The first of these that runs (a pyenv shim may exist and not run). Set LAMBDA_PYTHON to use another.
LAMBDA_PYTHON ?= $(firstword $(foreach python,python$(RUNTIME) $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/$(RUNTIME)*/bin/python3) $(wildcard $(HOME)/.local/share/uv/python/cpython-$(RUNTIME)*/bin/python3),$(if $(shell $(python) -c 'import sys; sys.exit(sys.version_info[:2] != tuple(map(int, "$(RUNTIME)".split("."))))' 2>/dev/null && echo yes),$(python))))

# $(call copy_package,SOURCE,PARENT): copies a package without caches
copy_package = mkdir -p $(2) && tar -C $(dir $(1)) --exclude=__pycache__ -cf - $(notdir $(1)) | tar -C $(2) -xf -

# $(call compile,FOLDER,PATH IN LAMBDA): Lambda cannot write bytecode next to the code, so without it each cold start compiles
# again. Unchecked hashes and a fixed seed: the same source gives the same bytes.
compile = $(if $(LAMBDA_PYTHON),\
  PYTHONHASHSEED=0 $(LAMBDA_PYTHON) -s -m compileall -q -f --invalidation-mode unchecked-hash -s $(1) -p $(2) $(1),\
  echo "No Python $(RUNTIME) was found, so nothing is compiled: it works, but starts up to twice as slowly. Set LAMBDA_PYTHON to use one." >&2)
