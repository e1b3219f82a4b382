# One command for each thing one does with this checkout. Works with GNU make 3.81 (macOS) and later.
#   make run ARGS="--port 5600 --data-dir /tmp/x --nats-port 4600"

ARGS =
LOCAL = node dist/apps/local/main.js
SOURCES := $(shell find apps libs -name '*.ts' -not -name '*.spec.ts' -not -name '*.e2e-spec.ts' 2>/dev/null)

# `make clean run` builds again, also where MAKEFLAGS says -j: goals are made in their order, so nothing is looked at before it is gone.
ifneq ($(filter clean distclean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

.DEFAULT_GOAL := help
.PHONY: help demo run stop clean distclean check lint format typecheck unit test sim explore guards cost faults test-docker build install load node

help: ## show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
	@echo
	@echo '  ARGS="--port 5000 --data-dir .shardline --nats-port 4222" says where the cluster is (these are the defaults)'

demo: build ## start a cluster, fill it, kill a shard-node and watch it heal; the cluster stays
	@exec $(LOCAL) demo $(ARGS)

run: build ## run a cluster in the foreground; Ctrl-C stops all of it
	@exec $(LOCAL) run $(ARGS)

stop: dist/apps/local/main.js ## stop the cluster that demo left, or that runs elsewhere
	@exec $(LOCAL) stop $(ARGS)

clean: ## remove what was built, and the data of the cluster (only when it is stopped)
	@node scripts/clean.js $(ARGS)

distclean: clean ## clean, and remove what was installed
	rm -rf node_modules .tools

check: install ## lint, types and unit tests side by side: what needs no processes (a minute and a half)
	@$(MAKE) --no-print-directory -j3 lint typecheck unit

lint: install ## check the code and the pages: ESLint, Prettier, direction of imports, words
	@npm run --silent lint

format: install ## fix what the linters can fix by themselves
	@npm run --silent format

typecheck: install ## check the types
	@npm run --silent typecheck

unit: install ## run the tests that start no process
	@npm run --silent test:unit

test: lint typecheck build ## run every check and every test
	@npm run --silent test:only -- $(ARGS)

sim: install ## simulate clusters with faults: SEEDS=20000 JOBS=2, or SEED=17 for one
	@node_modules/.bin/tsc -p tsconfig.simulation.json
	@exec node --single-threaded-gc --max-semi-space-size=32 --max-inlined-bytecode-size-cumulative=250 dist/apps/balancer/test/simulation/main.js

explore: install ## run small worlds with every pair of mishaps: SCRIPTS= TURNS=1000 BLOWS=2, or WORLD=
	@node_modules/.bin/tsc -p tsconfig.exploration.json
	@exec node --single-threaded-gc --max-semi-space-size=32 --max-inlined-bytecode-size-cumulative=250 dist/apps/balancer/test/exploration/main.js

guards: install ## mutation tests: switch off each guard of the cores and see which check notices: SEEDS=2000 JOBS=2 ONLY=
	@node_modules/.bin/tsc -p tsconfig.guards.json
	@exec node dist/apps/balancer/test/mutation/main.js

cost: install ## measure what a take-over and waiting writes cost the balancer's core (SERVERS=12)
	@node_modules/.bin/tsc -p tsconfig.cost.json
	@exec node dist/apps/balancer/test/cost/main.js

faults: build ## inject faults into a real cluster and check that nothing is lost (SEED= FAULTS= ROUNDS=)
	@node_modules/.bin/tsc -p tsconfig.faults.json
	@exec node --enable-source-maps dist/apps/local/test/faults/main.js

test-docker: build ## build the image and try containers on a real Docker engine; as root on Debian it brings one along (ARGS=)
	@exec scripts/docker/engine.sh scripts/docker/test.sh $(ARGS)

load: install ## load a running cluster with k6
	@exec node scripts/load.js $(ARGS)

build: dist/.built ## compile into dist/

# Only when it is missing: what runs can be stopped while the sources do not compile.
dist/apps/local/main.js:
	@$(MAKE) --no-print-directory build

install: node node_modules/.package-lock.json

node:
	@command -v node >/dev/null 2>&1 || { echo 'Shardline needs Node.js 20.19 or later, and there is no "node" on the PATH'; exit 1; }
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); if (a < 20 || (a === 20 && b < 19)) { console.error("Shardline needs Node.js 20.19 or later; this is " + process.version); process.exit(1); }'

node_modules/.package-lock.json: package-lock.json | node
	npm ci --no-audit --no-fund
	@touch $@

dist/.built: node_modules/.package-lock.json package.json tsconfig.json tsconfig.build.json $(SOURCES)
	npm run --silent build
	@touch $@
