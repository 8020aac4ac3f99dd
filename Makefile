# Each target sets up what it needs; Python 3.10+ and make are all that must be there. `make` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than there are processors: much of a test's time is waiting.
JOBS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
HASHED := --require-hashes --no-deps --only-binary=:all:

# command:Debian package
SHELLS := bash:bash busybox:busybox-static dash:dash gosu:gosu ksh:ksh mksh:mksh yash:yash zsh:zsh

.DELETE_ON_ERROR:
.PHONY: help demo test coverage soak fuzz soak-files soak-fetches soak-hang-ups lint live bench dist release manifest lock outputs pictures emulator shells lib clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/ready lib ## run commands in containers of the local emulator, as Rundeck would
	PYTHONPATH=contents:tests:tools $(BIN)/python -m demo $(ARGS)

test: lint shells lib ## lint, then run every test (ARGS="-k name" for some)
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadgroup $(ARGS)

coverage: export COVERAGE_FILE := $(CURDIR)/build/coverage/data
coverage: $(VENV)/ready lib ## run tests and show the lines of the plugin that none reaches (ARGS="tests/unit" for some)
	rm -rf build/coverage
	mkdir -p build/coverage
	COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadgroup $(ARGS); \
	status=$$?; $(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$status

soak: $(VENV)/ready lib ## run 1,000 sessions over bad links (ARGS="--sessions N --seed N", "--handshakes 200")
	PYTHONPATH=contents:tests:tools $(BIN)/python -m soak $(ARGS)

fuzz: $(VENV)/ready lib ## try random input of hostile containers, services and settings (ARGS="--seed N --share 0.1")
	PYTHONPATH=contents:tests:tools $(BIN)/python -m fuzz $(ARGS)

soak-files: $(VENV)/ready lib ## copy files of 50 and 100 MB into every kind of shell (ARGS=--help)
	PYTHONPATH=contents:tests:tools $(BIN)/python -m soak_files $(ARGS)

soak-fetches: $(VENV)/ready lib ## fetch large files and a tree of 1,000 files with every kind of shell (ARGS=--help)
	PYTHONPATH=contents:tests:tools $(BIN)/python -m soak_fetches $(ARGS)

soak-hang-ups: $(VENV)/ready lib ## end 1,000 sessions in each shell at random moments (ARGS=--help)
	PYTHONPATH=contents:contents/lib:tests:tools $(BIN)/python -m hang_ups $(ARGS)

lint: $(VENV)/ready ## check style, spelling and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy contents tests tools

bench: $(VENV)/ready lib ## measure against aws ecs execute-command (ARGS=--help)
	PYTHONPATH=contents:tests:tools $(BIN)/python -m bench $(ARGS)

live: $(VENV)/ready lib ## check a container of your own and run commands in it (ARGS=--help)
	PYTHONPATH=contents:tests:tools $(BIN)/python -m live $(ARGS)

dist: $(VENV)/ready ## build dist/rundeck-ecs-exec-VERSION.zip and its checksum
	$(BIN)/python tools/build_dist.py

release: $(VENV)/ready ## write all files of a release into dist/
	$(BIN)/python tools/build_release.py

manifest: $(VENV)/ready ## update plugin.yaml, messages, tables and the troubleshooting page after a change
	PYTHONPATH=contents:tests:tools $(BIN)/python tools/build_manifest.py

lock: $(VENV)/ready ## write requirements/*.txt after a change of a pin in pyproject.toml
	$(PYTHON) -m venv --clear build/lock
	$(BIN)/python tools/isolated_pip.py build/lock/bin/python install --quiet $(HASHED) --requirement requirements/lock.txt
	$(BIN)/python tools/lock.py build/lock/bin/uv

pictures: $(VENV)/ready lib ## draw the pictures of the README again
	PYTHONPATH=contents:tests:tools $(BIN)/python tools/pictures.py

outputs: $(VENV)/ready lib ## update what the steps print in docs/steps.md
	PYTHONPATH=contents:tests:tools $(BIN)/python tools/build_outputs.py

emulator: $(VENV)/ready lib ## run the local emulator in the foreground (ARGS=--help)
	PYTHONPATH=tests $(BIN)/python -m emulator $(ARGS)

lib: contents/lib/README.txt ## fill contents/lib, so that contents/*.py run from here

shells: ## install the shells (and gosu) that commands are tested with (Debian; as root, or where sudo asks nothing)
	@missing=; \
	for each in $(SHELLS); do command -v "$${each%:*}" >/dev/null || missing="$$missing $${each#*:}"; done; \
	test -n "$$missing" || exit 0; \
	if test "$$(id -u)" = 0; then as=env; elif sudo -n true 2>/dev/null; then as="sudo -n env"; else as=; fi; \
	if test -z "$$as" || ! command -v apt-get >/dev/null; then \
		echo "make: tests of shells that are missing will be skipped; Debian's packages are:$$missing"; exit 0; \
	fi; \
	echo "make: installing$$missing"; \
	$$as apt-get -qq update && \
	$$as DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $$missing >/dev/null

clean: ## remove all that the other targets made
	rm -rf $(VENV) build dist contents/lib .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find contents tests tools -name __pycache__ -prune -exec rm -rf {} +

contents/lib/README.txt: $(VENV)/ready tools/build_dist.py tools/trim_libraries.py requirements/lib.txt
	$(BIN)/python tools/build_dist.py --lib contents/lib

$(VENV)/ready: requirements/dev.txt tools/isolated_pip.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "make: $(PYTHON) is not Python 3.10 or later; name one that is: make PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(PYTHON) tools/isolated_pip.py $(BIN)/python install --quiet --no-compile $(HASHED) --requirement requirements/dev.txt
	@touch $@
