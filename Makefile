# Two commands are the whole set-up: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
UV_VERSION := 0.13.9
UV := .tools/uv/bin/uv
ENVIRONMENTS := pipeline airflow online
STAMPS := $(ENVIRONMENTS:%=.venv/%/.installed)
PIPELINE := .venv/pipeline/bin
AIRFLOW := .venv/airflow/bin
ONLINE := .venv/online/bin
PYTEST_ARGUMENTS ?=
# Compiled once an environment, not once a process: torch, sympy and transformers alone take five seconds each time.
unexport PYTHONDONTWRITEBYTECODE
# What the fast tier runs in a process of its own: it starts at once, where open_clip takes ten seconds to import.
WITHOUT_TORCH := $(patsubst %/,%,$(filter-out %/encoders/ %/photos/ %/__pycache__/,$(wildcard tests/retrieval/*/)))
# schemathesis comes in by itself, for tests of the full tier: without it a process starts sooner.
FAST := -q -p no:schemathesis -m "not full and not gpu and not aws"
# What the full tier runs in a process of its own, beside the long chain that shares a Spark session: nothing here needs one.
WITHOUT_SPARK := tests/retrieval tests/spark_jobs/models tests/demo tests/web
# Imported once when an environment is made: bytecode is compiled there, not in the first run of everything.
IMPORTS_pipeline := open_clip, timm, onnx, faiss, pandas, pyspark.sql, hypothesis, matplotlib.pyplot, sklearn.metrics, aiohttp, imagehash
IMPORTS_airflow := airflow.models, airflow.dag_processing.dagbag, airflow.providers.amazon.aws.operators.emr
IMPORTS_online := online.app, hypothesis, boto3
FUZZ_SECONDS ?= 600
FUZZED ?= photos questions

# What `make demo` takes: ONCE=1, CATALOG=folder MAPPING=file, PRODUCTS=600, PORT=8080, AIRFLOW_PORT=8081, CATALOG_PORT=8082
DEMO_ARGUMENTS := $(if $(ONCE),--once) $(if $(CATALOG),--catalog "$(CATALOG)") $(if $(MAPPING),--mapping "$(MAPPING)") \
	$(if $(PRODUCTS),--products $(PRODUCTS)) $(if $(PORT),--port $(PORT)) $(if $(AIRFLOW_PORT),--airflow-port $(AIRFLOW_PORT)) \
	$(if $(CATALOG_PORT),--catalog-port $(CATALOG_PORT))

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: tools
tools: ## check that Python 3.11 and Java 17 are here
	@command -v $(PYTHON) >/dev/null || { echo "make: Python 3.11 is missing: install python3.11 with venv, or name it: make PYTHON=/path/to/python3.11" >&2; exit 78; }
	$(PYTHON) demo/preflight.py tools

.PHONY: ports
ports: tools
	@$(PYTHON) demo/preflight.py ports $(if $(PORT),$(PORT),8080) $(if $(AIRFLOW_PORT),$(AIRFLOW_PORT),8081) $(if $(CATALOG),,$(if $(CATALOG_PORT),$(CATALOG_PORT),8082))

$(UV): | tools
	@echo "make: bootstrapping uv $(UV_VERSION)"
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/%/.installed: locks/%.txt setup.cfg pyproject.toml | $(UV)
	@echo "make: installing the $* environment"
	[ -x .venv/$*/bin/python ] || $(UV) venv --quiet --python $(PYTHON) .venv/$*
	$(UV) pip sync --python .venv/$*/bin/python --require-hashes locks/$*.txt
	$(UV) pip install --quiet --python .venv/$*/bin/python --no-deps --editable .
	AIRFLOW_HOME=$(CURDIR)/.run/imports .venv/$*/bin/python -c "import $(IMPORTS_$*)"
	touch $@

.jars/local/.resolved: spark_jobs/running/jars.py | .venv/pipeline/.installed
	@echo "make: resolving the Spark JARs"
	$(PIPELINE)/python -m spark_jobs.running.jars
	touch $@

.jars/local/.archived: .jars/local/.resolved spark_jobs/running/class_archive.py
	@echo "make: archiving the classes that jobs load"
	$(PIPELINE)/python -m spark_jobs.running.class_archive
	touch $@

.PHONY: environments
environments: $(STAMPS) ## create the three environments from their lock files

.PHONY: jars
jars: .jars/local/.archived ## resolve the Spark JARs, once, into .jars

.PHONY: lock
lock: $(UV) ## make the lock files from setup.cfg again
	for name in $(ENVIRONMENTS); do
	  extras="--extra $$name --extra dev"
	  if [ $$name = pipeline ]; then extras+=" --extra web"; fi
	  $(UV) pip compile --quiet --no-header --generate-hashes --python-version 3.11 setup.cfg $$extras -o locks/$$name.txt
	done
	$(UV) pip compile --quiet --no-header --generate-hashes --python-version 3.11 setup.cfg --extra online --extra fuzz -c locks/online.txt -o locks/fuzz.txt

.PHONY: demo
demo: ports $(STAMPS) .jars/local/.archived ## run everything on a generated catalog, or CATALOG=folder MAPPING=file
	@exec $(PIPELINE)/python -m demo.run $(DEMO_ARGUMENTS)

.PHONY: test
test: lint types test-fast test-full ## everything: lint, types, both tiers, in all three environments

.PHONY: lint
lint: $(STAMPS) ## ruff
	@$(PIPELINE)/ruff check .
	$(PIPELINE)/ruff format --check .

.PHONY: types
types: $(STAMPS) ## mypy, in the environment of each package
	@$(PIPELINE)/mypy schemas retrieval spark_jobs demo bench tests/architecture tests/schemas tests/retrieval tests/spark_jobs tests/demo tests/bench tests/e2e tests/web tests/faults/pipeline
	$(ONLINE)/mypy online tests/online tests/fuzz tests/faults/online
	$(AIRFLOW)/mypy dags tests/dags

.PHONY: test-fast
test-fast: $(STAMPS) ## the fast tier: no JVM, no server
	@mkdir -p test-output
	beside() {
	  local failed=
	  $(PIPELINE)/pytest $(FAST) $(WITHOUT_TORCH) $(PYTEST_ARGUMENTS) > test-output/fast-retrieval.log 2>&1 & retrieval=$$!
	  $(ONLINE)/pytest -q -m "not full" tests/online tests/fuzz $(PYTEST_ARGUMENTS) || failed=1
	  $(AIRFLOW)/pytest -q -m "not full" tests/dags $(PYTEST_ARGUMENTS) || failed=1
	  wait $$retrieval || failed=1
	  test -z "$$failed"
	}
	beside > test-output/fast-beside.log 2>&1 & beside=$$!
	trap 'kill -- -$$beside 2>/dev/null || kill $$beside 2>/dev/null; exit 130' INT TERM
	failed=
	$(PIPELINE)/pytest $(FAST) $(WITHOUT_TORCH:%=--ignore %) --ignore tests/online --ignore tests/fuzz --ignore tests/dags --ignore tests/faults $(PYTEST_ARGUMENTS) || failed=1
	echo "make: what ran beside these: the fast tests of retrieval, of the searcher and of the DAGs (test-output/fast-*.log)"
	wait $$beside || failed=1
	tail -n 60 test-output/fast-retrieval.log test-output/fast-beside.log
	test -z "$$failed"

.PHONY: test-full
test-full: $(STAMPS) .jars/local/.archived ## the full tier: Spark, servers, a scheduler
	@rm -rf test-output/taken && mkdir -p test-output/taken
	in_what_needs_no_spark() { $(PIPELINE)/pytest -q -m "full and not gpu and not aws" $(WITHOUT_SPARK) $(PYTEST_ARGUMENTS); }
	# In one process: they share a Spark session.
	in_nights() { $(PIPELINE)/pytest -q -m "full" tests/faults/pipeline tests/e2e $(PYTEST_ARGUMENTS); }
	in_searcher_faults() { $(ONLINE)/pytest -q -m "full" tests/faults/online $(PYTEST_ARGUMENTS); }
	in_searcher() { $(ONLINE)/pytest -q -m "full" tests/online $(PYTEST_ARGUMENTS); }
	# Two at once, one for a core: whichever is free takes the next part. A third beside them mostly waits for its scheduler.
	rest() {
	  local failed=
	  for part in nights what_needs_no_spark searcher searcher_faults; do
	    if mkdir test-output/taken/$$part 2>/dev/null; then in_$$part || failed=1; fi
	  done
	  test -z "$$failed"
	}
	# Some 50 MB, which a test near the end of the chain waits for.
	$(PIPELINE)/python -m tests.spark_jobs.fetch.hostile_photos > test-output/photos.log 2>&1 & photos=$$!
	$(AIRFLOW)/pytest -q -m "full" tests/dags $(PYTEST_ARGUMENTS) > test-output/dags.log 2>&1 & dags=$$!
	rest > test-output/beside.log 2>&1 & beside=$$!
	trap 'kill $$photos $$dags 2>/dev/null; kill -- -$$beside 2>/dev/null || kill $$beside 2>/dev/null; exit 130' INT TERM
	failed=
	$(PIPELINE)/pytest -q -m "full and not gpu and not aws" $(WITHOUT_SPARK:%=--ignore %) --ignore tests/online --ignore tests/fuzz --ignore tests/dags --ignore tests/faults --ignore tests/e2e $(PYTEST_ARGUMENTS) || failed=1
	rest || failed=1
	echo "make: what ran beside these: the scheduler's tests (test-output/dags.log), and of the pipeline's faults, two nights end to end, what needs no Spark and the searcher (test-output/beside.log)"
	wait $$dags || failed=1
	wait $$beside || failed=1
	tail -n 100 test-output/dags.log test-output/beside.log
	test -z "$$failed"

.PHONY: faults
faults: $(STAMPS) .jars/local/.archived ## what happens when things break: kills, full disks, wrong clocks, a store in trouble
	@$(ONLINE)/pytest -q -m "full" tests/faults/online $(PYTEST_ARGUMENTS)
	$(PIPELINE)/pytest -q -m "full" tests/faults/pipeline $(PYTEST_ARGUMENTS)

.PHONY: client
client: $(STAMPS) ## make a typed Python client from the OpenAPI document, into build/client
	@mkdir -p build
	$(ONLINE)/python -m online.print_document > build/openapi.json
	PATH=$(CURDIR)/$(PIPELINE):$$PATH $(PIPELINE)/openapi-python-client generate --path build/openapi.json --config online/client.yaml --meta uv --output-path build/client --overwrite

.tools/fuzz/.installed: locks/fuzz.txt | $(UV)
	@echo "make: installing the environment that fuzzes"
	[ -x .tools/fuzz/bin/python ] || $(UV) venv --quiet --python $(PYTHON) .tools/fuzz
	$(UV) pip sync --quiet --python .tools/fuzz/bin/python --require-hashes locks/fuzz.txt
	touch $@

.PHONY: fuzz
fuzz: .tools/fuzz/.installed ## atheris against the photo decoder and POST /search: FUZZ_SECONDS=600 each
	@for target in $(FUZZED); do
	  echo "make: fuzzing $$target for $(FUZZ_SECONDS) s; what it finds goes to test-output/fuzz"
	  mkdir -p test-output/fuzz/$$target
	  OMP_NUM_THREADS=1 .tools/fuzz/bin/python -m tests.fuzz.fuzz_$$target -max_total_time=$(FUZZ_SECONDS) -timeout=60 -rss_limit_mb=512 -artifact_prefix=test-output/fuzz/ -print_final_stats=1 test-output/fuzz/$$target tests/fuzz/seeds/$$target
	done

.PHONY: soak
soak: $(STAMPS) .jars/local/.archived ## both tiers with their long repetitions
	@SHOPLENS_SOAK=1 $(MAKE) test-fast test-full

.PHONY: format
format: .venv/pipeline/.installed ## let ruff format and fix
	@$(PIPELINE)/ruff check --fix .
	$(PIPELINE)/ruff format .

.PHONY: clean
clean: ## remove what the demo and the tests left (environments stay)
	rm -rf .run test-output spark-warehouse
