# One recipe for every image: SERVICES names what the image installs, by the code and the locks that `./lake up` uses.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS base
ENV LAKE_HOME=/var/lib/clicklake \
    LAKE_CACHE=/opt/cache \
    PATH=/opt/lake/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin \
    PYTHONPATH=/opt/clicklake \
    PYTHONDONTWRITEBYTECODE=1 \
    UV_LINK_MODE=copy
# A named volume takes owner and mode of the folder that it is first mounted over: each must be here.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/clicklake lake \
    && install -d -o lake -g lake -m 0700 /var/lib/clicklake \
    && cd /var/lib/clicklake && install -d -o lake -g lake -m 0700 config data logs run secrets \
    && install -d /handed && cd /handed \
    && install -d -o lake -g lake -m 0700 postgres s3 s3_console setup flink trino airflow superset stream
WORKDIR /opt/clicklake
# What installs, and no more: a change to a DAG, to SQL or to a dashboard comes after all this.
COPY lake artifacts.toml pyproject.toml ./
COPY requirements requirements
COPY clicklake clicklake
COPY producer producer
COPY flink/*.py flink/
# Compiled, since a health check is a process every few seconds that could not keep what it compiles.
RUN --mount=type=cache,target=/opt/cache/uv \
    python3 -I clicklake/bootstrap.py --help >/dev/null \
    && ln -s "$(dirname "$(dirname "$(ls /opt/cache/environments/lake-*/bin/python | grep -v -- -uv/)")")" /opt/lake \
    && /opt/lake/bin/python -m compileall -q clicklake

FROM base AS stack
ARG SERVICES=setup
# A setting on which it depends what they install.
ARG LAKE_KAFKA_METADATA=kraft
# By the base's certificates, so that a company's own count once the base has them.
RUN --mount=type=cache,target=/opt/cache/uv \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt ./lake install ${SERVICES}
COPY . .
# A strict umask where it was cloned is no reason to keep it from the user who runs it.
RUN chmod -R a+rX .
USER lake
ENTRYPOINT ["python", "-P", "-m", "clicklake.stack.run", "--at-once"]

# MinIO from its Go module, for compose.minio.yaml alone.
FROM golang:1.26-bookworm AS minio-build
COPY s3/minio /src
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    mkdir /out && sh /src/build /out

FROM stack AS minio
COPY --from=minio-build /out /opt/minio
USER root
RUN install -d /opt/cache/builds && ln -s /opt/minio "$(python -P -m clicklake.stack.builds minio)"
USER lake

# Lets Airflow start the stream's clients and nothing else of Docker.
FROM ${BASE} AS docker-proxy
RUN apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home lake
COPY --chmod=0755 docker/haproxy.cfg docker/proxy /etc/clicklake/
ENTRYPOINT ["sh", "/etc/clicklake/proxy"]
