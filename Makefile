PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# ultralytics brings an OpenCV that needs libGL.so.1, which servers lack.
WITHOUT_WINDOWS = $(BIN)/pip install --quiet -c constraints.txt --force-reinstall --no-deps opencv-python-headless

.DEFAULT_GOAL := help

.PHONY: help serve test check lint perf docs demo-models clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

serve: .installed-serve ## set up everything and serve on http://127.0.0.1:8080
	$(BIN)/retouch-export demo --if-absent
	$(BIN)/retouch serve

test: .installed-dev ## set up and run all tests, on a real Triton
	$(BIN)/retouch-export demo --if-absent
	$(BIN)/python -m pytest

check: .installed-dev lint test ## everything CI runs: format, lint, types, import rules, tests

lint: .installed-dev ## format, lint, types and import rules alone
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

perf: .installed-perf ## measure this machine: perf/report.md with plots (about 20 minutes; QUICK=1: a few)
	$(BIN)/retouch-export demo --if-absent
	$(BIN)/python -m benchmarks.performance $(if $(QUICK),--quick)

docs: .installed-dev ## the documentation as a site in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f .ci/mkdocs.yml

demo-models: .installed-serve ## install the demo models, over those that are there
	$(BIN)/retouch-export demo

clean: ## remove the environment, exported weights and served data
	rm -rf $(VENV) .venv-peers .installed-* build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis retouch-data
	rm -rf model_repository/.versions model_repository/qwen_*/[0-9]* model_repository/fastsam/*/model.onnx model_repository/clip_*

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"Python 3.11 or 3.12 is needed, {sys.executable} is {v[0]}.{v[1]}; use make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

.installed-serve: $(BIN)/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt -e '.[models]'
	touch $@

.installed-perf: .installed-dev benchmarks/peers/requirements.txt
	$(BIN)/pip install --quiet -c constraints.txt -e '.[export,dev,perf]'
	$(WITHOUT_WINDOWS)
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet -r benchmarks/peers/requirements.txt
	touch $@

.installed-dev: $(BIN)/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt -e '.[export,dev]'
	$(WITHOUT_WINDOWS)
	touch $@ .installed-serve
