# Every target works alone on a machine with git, python3.11 and make: all is installed into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint acceptance bench clean
.DEFAULT_GOAL := test

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m compileall -q $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || true
	touch $@

$(VENV)/installed-acceptance: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[acceptance]'
	touch $@

demo: $(VENV)/installed ## two servers, sample data, one migration, killed and resumed, verified
	$(BIN)/migrate demo

test: $(VENV)/installed ## the tests, against real servers of the installed MLflow
	$(BIN)/python -m pytest tests --ignore=tests/acceptance -m 'not acceptance and not thorough' \
		-n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

acceptance: $(VENV)/installed-acceptance ## servers of other MLflow versions, Postgres and S3; more kills
	$(BIN)/python -m pytest tests -m 'acceptance or thorough' --timeout=900

bench: $(VENV)/installed-acceptance ## migrate, the floor and mlflow-migration side by side
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .servers dist
