# Everything a contributor runs. Each command makes its environment first and leaves it for the next one.
#
#   make test                        the fast tests, on the newest Python found
#   make test PYTHON=3.9             on another one, in an environment of its own
#   make test ARGS="-k pricing"      with options for pytest

PYTHON =
ARGS =
venv = $(if $(PYTHON),.venvs/$(notdir $(PYTHON)),.venv)
python = $(venv)/bin/python
# Tests wait about as long as they work, so that two cores serve four processes. More do not pay: each imports the
# SDKs and collects the tests anew.
at_once = --numprocesses=4 --dist=worksteal
pytest = $(python) -m pytest -q $(at_once) $(again)
# Beside a busy neighbour a test may fail that holds: in CI it gets a second chance, and the last lines name it to be mended.
again = $(if $(CI),--reruns 1 -r R)

# What is to be installed: pyproject.toml without the settings of tools.
needs = sed '/^\[tool\./,$$d' pyproject.toml

# The Python that makes environments: any from 3.9 on that is here; it looks for the newest by itself.
base = $$(for python in python3 python python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 \
	"$$HOME"/.pyenv/versions/3.*/bin/python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && echo "$$python" && break; done)

.PHONY: help test test-all test-sdks test-lowest test-engines test-mcp test-frameworks announce demo lint format typecheck coverage coverage-rest \
	bench bench-check bench-others soak simulate integration docs docs-serve environment clean FORCE

help: ## Show these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

environment: $(venv)/ready ## Make or update .venv

# An environment keeps a copy of what it was made for, and is made anew when that is another.
$(venv)/ready: FORCE
	@$(needs) | cmp -s - "$@" || { "$(base)" tools/environment.py "$(venv)" --python "$(PYTHON)" --group dev \
		&& $(needs) >"$@"; }

FORCE:

test: announce $(venv)/ready ## Run the fast tests
	@$(pytest) -m "not integration and not slow" $(ARGS)

announce:
	@echo "The fast tests take about six minutes on two cores and need nothing but this machine."
	@$(needs) | cmp -s - "$(venv)/ready" \
		|| echo "First $(venv) is made: one to five minutes, 900 MB on disk ('make clean' removes it)."

test-all: $(venv)/ready ## Run every test, those that take long or build packages too
	@$(pytest) -m "not integration" $(ARGS)

test-sdks: $(venv)/ready ## Run the scenarios through the vendors' SDKs, the other transport
	@TRANSPORT=sdk $(pytest) -m "not integration" \
		tests/scenarios tests/test_providers.py tests/test_model_discovery.py tests/test_cost_tracking.py $(ARGS)

demo: ## Stream an answer from a real local model; leaves 260 MB in .venvs/demo
	@$(needs) | cmp -s - .venvs/demo/ready \
		|| echo "First .venvs/demo is made: about a minute, 260 MB on disk ('make clean' removes it)."
	@$(MAKE) --no-print-directory .venvs/demo/ready
	.venvs/demo/bin/python examples/demo.py

.venvs/demo/ready: FORCE
	@$(needs) | cmp -s - "$@" || { "$(base)" tools/environment.py .venvs/demo --python "$(PYTHON)" --extras local \
		&& .venvs/demo/bin/python -c 'import sys; sys.exit("The local model needs Python 3.10 or later." \
		if sys.version_info < (3, 10) else 0)' && $(needs) >"$@"; }

.venvs/lowest/ready: FORCE
	@$(needs) | cmp -s - "$@" || { "$(base)" tools/environment.py .venvs/lowest --python 3.9 --group test --lowest \
		&& $(needs) >"$@"; }

# The oldest release of the plugin that runs a test again leaves sockets open, which is an error here.
test-lowest: .venvs/lowest/ready ## Run the tests of the adapters on the oldest releases that pyproject.toml allows
	@TRANSPORT=sdk .venvs/lowest/bin/python -m pytest -q $(at_once) -p no:rerunfailures -m "not integration" \
		tests/unit/providers tests/sdk tests/test_providers.py $(ARGS)

.venvs/engines/ready: FORCE
	@$(needs) | cmp -s - "$@" || { "$(base)" tools/environment.py .venvs/engines --python "$(PYTHON)" --group runner \
		--extras ray,daft && $(needs) >"$@"; }

test-engines: .venvs/engines/ready ## Run the tests of workers on a real Ray and a real Daft
	@.venvs/engines/bin/python -m pytest -q $(again) tests/engines $(ARGS)

.venvs/mcp/ready: FORCE
	@$(needs) | cmp -s - "$@" || { "$(base)" tools/environment.py .venvs/mcp --python "$(PYTHON)" --group ecosystem \
		--extras mcp,cli && $(needs) >"$@"; }

test-mcp: .venvs/mcp/ready ## Run the tests on servers of MCP, and the pages on Django, Celery and notebooks
	@.venvs/mcp/bin/python -m pytest -q $(at_once) tests/mcp tests/docs/test_django_page.py \
		tests/docs/test_celery_page.py tests/docs/test_notebooks_page.py $(ARGS)

.venvs/frameworks/ready: FORCE
	@$(needs) | cmp -s - "$@" || { "$(base)" tools/environment.py .venvs/frameworks --python "$(PYTHON)" \
		--group frameworks --extras langchain,pydantic-ai,openai,local && $(needs) >"$@"; }

# The settings are those of pytest-asyncio, which runs the async tests of LangChain's suites.
test-frameworks: .venvs/frameworks/ready ## Run the frameworks' own suites and examples on the orchestrator
	@.venvs/frameworks/bin/python -m pytest -q $(again) $(at_once) -o asyncio_mode=auto \
		-o asyncio_default_fixture_loop_scope=function tests/frameworks $(ARGS)

lint: $(venv)/ready typecheck ## Check format, style, docstrings and types
	$(python) -m black --check --quiet .
	$(python) -m ruff check --quiet .

format: $(venv)/ready ## Format the code and mend what ruff can mend
	$(python) -m ruff check --fix --quiet . || true
	$(python) -m black --quiet .

typecheck: $(venv)/ready ## Check the types, strictly
	$(python) -m mypy

coverage: override ARGS += --cov --cov-report=
coverage: test coverage-rest ## Run every test and check the coverage each part promises

# The slow tests on top of `make test ARGS="--cov --cov-report="`.
coverage-rest: $(venv)/ready
	@$(pytest) -m "slow and not integration" --cov --cov-append --cov-report=term:skip-covered --cov-report=json
	$(python) tools/check_coverage.py coverage.json

bench: $(venv)/ready ## Measure the library, beside the vendors' SDKs and alone
	for script in benchmarks/bench_*.py; do $(python) "$$script" || exit 1; done

# The contenders that bring packages of their own; without them `make bench` skips these.
others = litellm pydantic-ai-slim[openai] openai[aiohttp]

bench-others: ## Install litellm, pydantic-ai and the SDK over aiohttp for `make bench`, each alone; 600 MB
	@for package in $(others); do \
		folder=.venvs/bench-$${package%%\[*}; echo "Making $$folder ..."; \
		"$(base)" -m venv "$$folder" \
			&& "$$folder/bin/pip" --disable-pip-version-check install -qq "$$package" || exit 1; done

bench-check: $(venv)/ready ## Fail when a target of the comparison with the SDKs is missed by over 15 %
	$(python) benchmarks/bench_speed.py --check $(ARGS)

soak: $(venv)/ready ## Run mixed traffic with faults for a minute; ARGS="--seconds 3600" for longer
	$(python) -m tools.soak $(ARGS)

simulate: $(venv)/ready ## Run 100,000 simulated calls; ARGS="--calls 1000000" for more, "--seed N" for one seed again
	$(python) -m tools.simulation $(ARGS)

integration: $(venv)/ready ## Call the real providers whose keys are set (costs a little money)
	$(python) -m pytest -m integration $(ARGS)

# What the documentation site shows.
site = README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md LICENSE config.example.yaml docs examples \
	tests/scenarios/README.md tests/support/README.md tests/support/scripted_server/README.md

docs: $(venv)/ready ## Build the documentation site into site/; a warning is an error
	@$(python) -c 'import sys; sys.exit("The site needs Python 3.11 or later." if sys.version_info < (3, 11) else 0)'
	@rm -rf build/pages && mkdir -p build/pages && tar -cf - $(site) | tar -xf - -C build/pages
	@awk '{ if (sub(/^<!-- :::/, ":::")) print ""; sub(/ -->$$/, ""); print }' docs/api.md >build/pages/docs/api.md
	$(python) -m zensical build --clean --strict --config-file mkdocs.yml
	@echo "The site is in site/; begin with site/index.html."

docs-serve: docs ## Build the site and show it at http://localhost:8000
	$(python) -m http.server --bind localhost --directory site 8000

clean: ## Remove environments, caches and build results
	rm -rf .venv .venvs .cache build dist site .coverage .coverage.* coverage.json .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
