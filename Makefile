# Everything that is done with this repository. `make demo` and `make test` each work as the first command on a fresh machine.
.NOTPARALLEL:
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
# The local cluster's name. A second one can run beside it: make cluster CLUSTER=other
CLUSTER ?= default
# An image that the cluster can pull by itself, for a cluster that cannot be given one: make deploy IMAGE=registry/runwright:tag
IMAGE ?=
# Install what a cluster named by KUBECONFIG lacks, such as Argo, without asking: make cluster YES=1
YES ?=
# Passed on to pytest: make unit ARGS='-k mirror', make e2e ARGS='-x -k delete'
ARGS ?=

# pytest ends with 5 where it selected no test, which is no failure where ARGS did the selecting.
OR_NONE := $(if $(ARGS),|| [ $$? -eq 5 ])

VENV := .venv
BIN := $(VENV)/bin
# Set when the requirement files as they are now are installed.
VENV_DONE := $(VENV)/.requirements-installed
CLUSTER_TOOL := $(PYTHON) deploy/local/cluster.py --name $(CLUSTER) $(if $(YES),--yes)
# Where `make cluster` leaves the way in, whichever cluster it is, and kubectl where the machine has none.
CLUSTER_HOME := $(CURDIR)/.cluster$(if $(filter-out default,$(CLUSTER)),/$(CLUSTER))
ON_CLUSTER := KUBECONFIG=$(CLUSTER_HOME)/kubeconfig PATH=$(CLUSTER_HOME)/bin:$$PATH

# tests/e2e/schedule.py says what the two parts are. It groups the tests, and sorts them by their usual time.
E2E := $(BIN)/pytest --dist loadgroup --no-loadscope-reorder tests/e2e
define RUN_E2E
$(ON_CLUSTER) $(E2E) -n 6 -m "not serial and not apart" --timeout 600 $(ARGS) $(OR_NONE)
$(ON_CLUSTER) $(E2E) -n 3 -m "serial or apart" --timeout 900 $(ARGS) $(OR_NONE)
endef

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2} /^##@ / {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ To see it work
.PHONY: demo
demo: deploy ## Start a cluster, install Runwright, apply a PipelineRun and watch it run to its end
	@$(ON_CLUSTER) $(PYTHON) deploy/demo.py

.PHONY: test
test: venv ## Everything: lint and the unit tests while cluster, image and Runwright start, then the end-to-end tests
	@echo "→ make lint unit runs beside make deploy; its output follows"
	@log=$$(mktemp); $(MAKE) --no-print-directory lint unit > $$log 2>&1 & checks=$$!; \
	trap 'kill $$checks 2> /dev/null || true; rm -f $$log' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	$(MAKE) --no-print-directory deploy; \
	code=0; wait $$checks || code=$$?; cat $$log; exit $$code
	$(RUN_E2E)

##@ Without a cluster
.PHONY: venv
venv: $(VENV_DONE) ## Make .venv with the pinned requirements and the package (again only when those change)

$(VENV_DONE): requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11. Name a newer one: make venv PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || { echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "→ .venv: the pinned requirements (about 40 s the first time)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: generate
generate: venv ## Generate crds/, docs/reference/, the contract's modules, the picture in README, and files in charts, deploy/argocd and deploy/monitoring
	@$(BIN)/python -m runwright.api.generate
	@$(BIN)/python -m grpc_tools.protoc -I operator -I $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
		--plugin=$(BIN)/protoc-gen-mypy --python_out=operator --mypy_out=quiet:operator operator/runwright/service/contract/*.proto
	@$(BIN)/python deploy/argocd/argocd_cm.py
	@$(BIN)/python deploy/monitoring/monitoring.py
	@$(BIN)/python charts/readme.py
	@$(BIN)/python -m docs.images.live_tree
	@$(BIN)/python docs/modules.py

.PHONY: lint
lint: venv ## ruff, pyright, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

.PHONY: format
format: venv ## Put the code into the one format, and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: unit
unit: venv ## The unit tests: seconds, no cluster
	$(BIN)/pytest -n auto tests/unit $(ARGS)

.PHONY: requirements
requirements: venv ## Write the pins of every requirements*.txt from its .in (UPGRADE=1: to the newest that fit)
	@for name in requirements requirements-dev tests/e2e/requirements-hera tests/e2e/requirements-kfp tests/e2e/requirements-schemathesis; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(if $(UPGRADE),--upgrade) \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
			$$name.in --output-file $$name.txt > /dev/null; \
	done
	@! grep -nE '://|^--' requirements*.txt tests/e2e/requirements*.txt || { echo "an address got into the pins" >&2; exit 1; }

##@ On a cluster
.PHONY: cluster
cluster: ## Start a cluster: the one KUBECONFIG names, kind where Docker is, else the real components, built here
	@$(CLUSTER_TOOL) up

.PHONY: cluster-status
cluster-status: ## Tell what is up
	@$(CLUSTER_TOOL) status

.PHONY: cluster-down
cluster-down: ## Stop the cluster and leave nothing of it behind
	@$(CLUSTER_TOOL) down

.PHONY: image
image: cluster ## Build the operator's image and give it to the cluster (again only when its sources change)
	@$(PYTHON) deploy/image.py --name $(CLUSTER)

.PHONY: sbom
sbom: ## Print what is in the operator's image, as CycloneDX
	@$(PYTHON) deploy/image.py --sbom

.PHONY: pin-base
pin-base: ## Pin the Dockerfile's base image by the digest that its registry gives; needs skopeo or docker, and the network
	@$(PYTHON) deploy/base_image.py

.PHONY: audit
audit: venv ## Ask whether a requirement is known to be vulnerable; needs the network, and is no part of `make test`
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.txt

.PHONY: deploy
deploy: cluster ## Build the image, install Runwright in the cluster, and wait until it is ready
	@$(ON_CLUSTER) $(PYTHON) deploy/install.py up --name $(CLUSTER) $(if $(IMAGE),--image $(IMAGE))

.PHONY: undeploy
undeploy: ## Take Runwright out of the cluster, its CRD and so every PipelineRun with it
	@$(ON_CLUSTER) $(PYTHON) deploy/install.py down

.PHONY: e2e
e2e: venv deploy ## The end-to-end tests, on the cluster with Runwright deployed
	$(RUN_E2E)

.PHONY: bench
bench: venv deploy ## Measure the cost of the operator against Argo alone, as ratios in one run
	$(ON_CLUSTER) $(BIN)/python -m bench $(ARGS)
