# One door to everything that is done with this repository; `make help` lists it. CI runs the same targets.
# Written for GNU make 3.81 (macOS) and a POSIX shell.

VENV   := .venv
BIN    := $(VENV)/bin
SYNCED := $(VENV)/.synced
READY  := $(VENV)/.ready
CHECKERS := .venv-infra
CHECKOV := .venv-checkov
CODE   := core providers retrievers chains evals jobs server infra langserve_app.py
PYTEST := $(BIN)/python -m pytest
WORKERS := 2
# Images of containers set it, and each process would compile all that it imports: a start takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
PEERS  ?= .bench/peers

.DEFAULT_GOAL := help
.PHONY: help setup run sign-in-link rotate-encryption worker migrate audit-verify ingest reindex test lint fmt types openapi lock bench bench-gateway bench-pii bench-rag bench-volume bench-encryption bench-auth bench-monitors bench-scale eval prove screenshots clean lint-infra image-replay pin-images smoke lock-infra backup restore

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything in it (Python 3.11, 3.12 or 3.13; PYTHON=… chooses)

$(BIN)/python:
	@sh infra/setup/make-venv $(VENV)

$(SYNCED): requirements.lock | $(BIN)/python
	@sh infra/setup/install-lock $(VENV)
	@touch $@

$(READY): $(SYNCED) pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: $(READY) ## start the platform and print its address
	@exec $(BIN)/python langserve_app.py

sign-in-link: $(READY) ## print a new one-time link that signs a browser in as administrator
	@$(BIN)/python langserve_app.py --sign-in-link

rotate-encryption: $(READY) ## make new keys and seal with them what is stored, also while the platform serves
	@exec $(BIN)/python langserve_app.py --rotate-encryption

backup: $(READY) ## copy all that is stored, also while the platform serves: make backup TO=directory or s3://… KEYS=another place
	@test -n "$(TO)" || { echo "usage: make backup TO=an empty directory or s3://… KEYS=another place, for the keys"; exit 2; }
	@$(BIN)/genai backup --to "$(TO)" $(if $(KEYS),--keys "$(KEYS)") $(ARGS)

restore: $(READY) ## put a backup back while nothing runs: make restore FROM=… KEYS=… (REPLACE=1 replaces what is there, CHECK=1 only verifies)
	@test -n "$(FROM)" || { echo "usage: make restore FROM=place of the backup KEYS=place of its keys"; exit 2; }
	@$(BIN)/genai restore --from "$(FROM)" $(if $(KEYS),--keys "$(KEYS)") $(if $(REPLACE),--replace) $(if $(CHECK),--check)

worker: $(READY) ## start a worker process beside the server (needs a store that can be shared)
	@exec $(BIN)/python -m jobs.worker

migrate: $(READY) ## bring the database to the newest schema (the server does it at start as well), or back: TO=previous, TO=0033
	@$(BIN)/python -m core.schema $(TO)

audit-verify: $(READY) ## verify the audit log of the database that the settings name; 1 where an event was edited, removed or moved (ARGS=--anchor=…)
	@$(BIN)/python -m core.audit $(ARGS)

ingest: $(READY) ## bring a folder into a collection of the running server: make ingest DIR=… COLLECTION=… (PRUNE=1 deletes what is gone from the folder)
	@test -n "$(DIR)" && test -n "$(COLLECTION)" || { echo "usage: make ingest DIR=folder COLLECTION=name"; exit 2; }
	@$(BIN)/genai ingest "$(DIR)" --collection "$(COLLECTION)" $(if $(PRUNE),--prune)

reindex: $(READY) ## move collections while they are asked: make reindex FROM=chroma TO=pgvector [EVERYWHERE=1], COLLECTION=… TO=STORE:ALIAS, COLLECTION=… BACK=1
	@$(BIN)/genai reindex $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)") $(foreach name,$(COLLECTION),--collection "$(name)") \
	    $(if $(EVERYWHERE),--everywhere) $(if $(BACK),--back) $(if $(KEEP_S),--keep-s "$(KEEP_S)")

test: $(READY) ## run every test: unit, contract and end to end, in a browser too (ARGS=… goes to pytest, WORKERS=0 runs them one by one)
	@sh infra/setup/find-browser $(BIN)/python --install > /dev/null || true
	@sh infra/setup/find-prometheus --install > /dev/null || true
	@sh infra/setup/find-haproxy --install > /dev/null || true
	@$(PYTEST) -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

lint: $(READY) ## check style, types, layers and the committed OpenAPI document
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "make fmt formats these:"; $(BIN)/ruff format --check .; }
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports
	@if [ -f server/openapi.py ]; then $(BIN)/python -m server.openapi --check; fi

$(CHECKERS)/bin/python:
	@sh infra/setup/make-venv $(CHECKERS)

$(CHECKERS)/.synced: requirements-infra.lock $(READY) | $(CHECKERS)/bin/python
	@sh infra/setup/install-lock $(CHECKERS) requirements-infra.lock $(BIN)/uv
	@touch $@

$(CHECKOV)/bin/python:
	@sh infra/setup/make-venv $(CHECKOV)

$(CHECKOV)/.synced: requirements-checkov.lock $(READY) | $(CHECKOV)/bin/python
	@sh infra/setup/install-lock $(CHECKOV) requirements-checkov.lock $(BIN)/uv
	@touch $@

lint-infra: $(CHECKERS)/.synced $(CHECKOV)/.synced ## check infra/ as far as it goes without a cloud, in an environment of its own (ARGS=CHECK runs one)
	@sh infra/setup/find-prometheus --install > /dev/null
	@sh infra/setup/find-amtool --install > /dev/null
	@$(BIN)/python -m infra.lint.application $(CHECKERS)/application.json
	@$(CHECKERS)/bin/python -m infra.lint --application $(CHECKERS)/application.json $(ARGS)

image-replay: $(READY) ## replay the image's build and start without an engine, as root on Linux (ARGS=--extras= leaves all parts out)
	@$(BIN)/python -m infra.docker.replay $(ARGS)

pin-images: $(READY) ## resolve the digests of the images that infra/ names (ARGS=--in-place writes them); needs crane or docker
	@$(BIN)/python -m infra.docker.pin $(ARGS)

smoke: $(READY) ## see that an installation does its main job: GENAI_API_KEY=… make smoke URL=https://genai.example.com
	@test -n "$(URL)" || { echo "usage: GENAI_API_KEY=… make smoke URL=address"; exit 2; }
	@$(BIN)/python -m infra.smoke "$(URL)" $(ARGS)

fmt: $(READY) ## format the code and sort its imports
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

openapi: $(READY) ## write docs/openapi.json anew, after a change that callers may see
	@$(BIN)/python -m server.openapi --write

lock: $(READY) ## resolve the dependencies anew into requirements.lock, each pinned by its hash
	@$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --all-extras --upgrade -o requirements.lock

lock-infra: $(READY) ## resolve anew what checks infra/, and the drivers of object stores for an image
	@sh infra/docker/object-stores/make-locks $(BIN)/uv
	@$(BIN)/uv pip compile infra/lint/requirements.in --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --upgrade -o requirements-infra.lock
	@$(BIN)/uv pip compile infra/lint/checkov.in --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --upgrade -o requirements-checkov.lock

bench: $(READY) ## measure start, memory, first token, ingestion and search on this machine
	@$(BIN)/python -m infra.bench.measure $(ARGS)

bench-gateway: $(READY) ## measure requests beside LiteLLM and Portkey, put below PEERS=… (.bench/peers); needs wrk
	@$(BIN)/python -m infra.bench.gateway --peers "$(PEERS)" $(ARGS)

bench-pii: $(READY) ## measure how well and how fast personal data is found: make bench-pii DATA=labelled.json
	@OMP_NUM_THREADS=1 $(BIN)/python -m infra.bench.pii $(DATA)

bench-rag: $(READY) ## measure how well search finds, leg by leg and step by step: make bench-rag DATA=directory in Cranfield's form
	@test -n "$(DATA)" || { echo "usage: make bench-rag DATA=directory with corpus.jsonl, queries.jsonl and qrels.tsv"; exit 2; }
	@$(BIN)/python -m infra.bench.rag "$(DATA)" $(ARGS)

bench-volume: $(READY) ## measure how fast a large collection is filled and searched (ARGS="--chunks 100000")
	@$(BIN)/python -m infra.bench.volume $(ARGS)

bench-encryption: $(READY) ## measure what encryption costs a value and a request with a session
	@$(BIN)/python -m infra.bench.encryption

eval: $(READY) ## run a suite as a gate: make eval SUITE=evals/examples/capitals.yaml (ARGS="--url … --baseline …")
	@test -n "$(SUITE)" || { echo "usage: make eval SUITE=suite.yaml, or SUITE=package.module:name"; exit 2; }
	@exec $(BIN)/python -m evals.gate "$(SUITE)" $(ARGS)

bench-auth: $(READY) ## measure the CPU time that authentication and authorisation add to a request
	@$(BIN)/python -m infra.bench.authentication $(ARGS)

bench-scale: $(READY) ## measure what requests, tokens, documents and rows cost behind a proxy, and what a large load needs; needs haproxy
	@sh infra/setup/find-haproxy --install > /dev/null || true
	@$(BIN)/python -m infra.bench.scale $(ARGS)

bench-monitors: $(READY) ## measure how well detectors find planted changes, and what they take for one (SEEDS=1000-1019)
	@$(BIN)/python -m infra.bench.monitors $(if $(SEEDS),--seeds "$(SEEDS)") $(ARGS)

prove: $(READY) ## run the promises of docs/promises.md at their full counts, resumable (ARGS=--list names them)
	@$(BIN)/python -m infra.bench.prove $(ARGS)

screenshots: $(READY) ## take the README's pictures of the running pages
	@$(BIN)/python -m infra.screenshots

clean: ## remove caches, keep .venv and data
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis htmlcov dist
