# Each target makes .venv first when it is missing or older than the lock.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
DEMO := outputs/demo
# Waiting threads must not spin on cores that others share.
export OMP_WAIT_POLICY ?= PASSIVE
EXTRAS := --extra cpu --extra rtx --extra milvus --extra milvus-server --extra pipelines --extra spark --extra stream --extra monitoring \
	--extra train --extra serve --extra tracing --extra dev

SERVING := --extra serve --extra cpu --extra tracing --extra milvus
# What starts servers and loads them runs apart from tests that keep every core busy: their deadlines are seconds.
ALONE := tests/serve tests/benchmarks tests/deploy
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --max-worker-restart=0 --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test lint serve lock audit

help:
	@echo "make demo              the built-in shop: train, evaluate, export; about five minutes on two cores"
	@echo "make serve BUNDLE=DIR  search page and API on http://$(HOST):$(PORT) (HOST=, PORT=)"
	@echo "make test              lint, then all tests"
	@echo "make lint              ruff, mypy, import-linter"
	@echo "make lock              resolve pyproject.toml into the two lock files again"
	@echo "make audit             known vulnerabilities of the locked packages; needs PyPI's vulnerability service"

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lookalike needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes --no-deps -r requirements.lock
	touch $@

demo: $(READY)
	$(BIN)/python train.py experiment=demo hydra.run.dir=$(DEMO)/train
	$(BIN)/python evaluate.py baseline=color_histogram data=shop pictures=0 output=$(DEMO)/color_histogram
	$(BIN)/python export.py checkpoint=$(DEMO)/train/checkpoints/best.ckpt output=$(DEMO)/bundle
	$(BIN)/python evaluate.py checkpoint=$(DEMO)/train/checkpoints/best.ckpt output=$(DEMO)/evaluation
	@echo
	@echo "metrics:  $(DEMO)/evaluation/metrics.json"
	@echo "report:   $(DEMO)/evaluation/report.html (open it in a browser; it needs no network)"
	@echo "picture:  $(DEMO)/evaluation/results.png (queries beside their top 5, hits and misses marked)"
	@echo "bundle:   $(DEMO)/bundle"
	@echo "search:   make serve BUNDLE=$(DEMO)/bundle"

test: lint
	$(PYTEST) $(addprefix --ignore=,$(ALONE))
	$(PYTEST) $(ALONE)

lint: $(READY)
	$(BIN)/pre-commit run --all-files

serve: $(READY)
	@test -n "$(BUNDLE)" || { echo "name the bundle: make serve BUNDLE=DIR (make demo writes $(DEMO)/bundle)" >&2; exit 2; }
	$(BIN)/python -m serve --bundle "$(BUNDLE)" --host $(HOST) --port $(PORT)

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml $(EXTRAS) --universal --generate-hashes --no-annotate --quiet \
		--custom-compile-command "make lock" -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml $(SERVING) --universal --generate-hashes --no-annotate --quiet \
		--constraints requirements.lock --custom-compile-command "make lock" -o deploy/requirements-serve.lock

audit: $(READY)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r deploy/requirements-serve.lock
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock
