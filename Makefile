# Everything a contributor runs. Each command makes its environment first and leaves it for the next one.
#
#   make test                        on the newest Python found
#   make test PYTHON=python3.9       on another one
#   make test ARGS="-k pricing"      with options for pytest

PYTHON =
ARGS =
python = .venv/bin/python

.PHONY: help test demo lint format typecheck coverage bench bench-check soak integration docs docs-serve environment clean

help: ## Show these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

environment: ## Make or update .venv
	@"$$(command -v python3 || command -v python || command -v "$(PYTHON)")" tools/environment.py .venv --python "$(PYTHON)"

test: environment ## Run the tests, the local model's included
	$(python) -m pytest -m "not integration" $(ARGS)

demo: environment ## Stream an answer from a real local model
	@$(python) -c 'import sys; sys.exit("The local model needs Python 3.10 or later." if sys.version_info < (3, 10) else 0)'
	$(python) examples/demo.py

lint: environment typecheck ## Check format, style, docstrings and types
	$(python) -m black --check --quiet .
	$(python) -m ruff check .

format: environment ## Format the code and mend what ruff can mend
	$(python) -m ruff check --fix --quiet . || true
	$(python) -m black --quiet .

typecheck: environment ## Check the types, strictly
	$(python) -m mypy

# Counting makes a test half as slow again, so a unit test may use more.
coverage: override ARGS += --unit-seconds=1 --cov --cov-report=term:skip-covered --cov-report=json
coverage: test ## Run the tests and check the coverage each part promises
	$(python) tools/check_coverage.py coverage.json

bench: environment ## Measure the library, beside the vendors' SDKs and alone
	for script in benchmarks/bench_*.py; do $(python) "$$script" || exit 1; done

bench-check: environment ## Fail when a target of the comparison with the SDKs is missed by over 15 %
	$(python) benchmarks/bench_speed.py --check $(ARGS)

soak: environment ## Run mixed traffic with faults for a minute; ARGS="--seconds 3600" for longer
	$(python) -m tools.soak $(ARGS)

integration: environment ## Call the real providers whose keys are set (costs a little money)
	$(python) -m pytest -m integration $(ARGS)

docs: environment ## Build the documentation site into site/; a warning is an error
	@$(python) -c 'import sys; sys.exit("The site needs Python 3.11 or later." if sys.version_info < (3, 11) else 0)'
	$(python) -m zensical build --clean --strict --config-file mkdocs.yml
	@echo "The site is in site/; begin with site/index.html."

docs-serve: environment ## Show the site at http://localhost:8000 and keep it current while you write
	$(python) -m zensical serve --config-file mkdocs.yml

clean: ## Remove environments, caches and build results
	rm -rf .venv .venvs .tools .cache build dist site .coverage coverage.json .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
