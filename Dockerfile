# Image of the Wordcount worker. Two stages from one base image: build tools stay in the first stage.
#
# The base image is pinned by tag. To pin its bytes too, ask the registry for the digest and pass both:
#   docker buildx imagetools inspect python:3.13-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:<digest> -t wordcount .
# The argument PYTHON_IMAGE can also name a mirror of the base image.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Dependencies come first, because this layer changes only with the lock files. The environments have no pip of their own.
# Only wheels are installed, so neither stage needs a compiler.
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/wordcount \
    && python -m venv --without-pip /opt/build \
    && python -m pip --python /opt/wordcount install --no-cache-dir --require-hashes --only-binary :all: -r requirements/runtime.txt \
    && python -m pip --python /opt/build install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt
# The build backend comes from its own lock file and stays in this stage. With build isolation pip would fetch an unlocked backend.
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY agents agents
COPY tables tables
RUN python -m pip --python /opt/build wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/wordcount install --no-cache-dir --no-deps --no-index dist/*.whl

FROM ${PYTHON_IMAGE} AS runtime
# The user has a fixed number, because a cluster checks the number for "not root", and the number owns the files of a volume.
RUN groupadd --gid 10001 wordcount \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv/wordcount --shell /usr/sbin/nologin wordcount \
    && install -d -o 10001 -g 10001 /srv/wordcount /var/lib/wordcount
COPY --from=builder /opt/wordcount /opt/wordcount
# The worker writes only its state and /tmp, so the root file system can be mounted read-only. Python must not write bytecode,
# which was compiled at installation and could not be written to a read-only file system.
ENV PATH=/opt/wordcount/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WORDCOUNT_STATE_DIR=/var/lib/wordcount \
    WORDCOUNT_HTTP_HOST=0.0.0.0 \
    WORDCOUNT_HTTP_PORT=8080 \
    WORDCOUNT_LOG_FORMAT=json
VOLUME ["/var/lib/wordcount"]
WORKDIR /srv/wordcount
USER 10001:10001
EXPOSE 8080
# The worker is PID 1 and gets the signal directly: it stops intake, flushes, commits and leaves the group.
STOPSIGNAL SIGTERM
# Labels come after what fills the file system, because they differ from build to build and would make the cache useless. The labels
# of revision and creation are empty unless the build names them: a commit is not in the build context, and a clock is not repeatable.
ARG PYTHON_IMAGE
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="wordcount" \
    org.opencontainers.image.description="Exact streaming word counts from Kafka, on Faust, with answers that say how fresh and complete they are." \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}" \
    org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# The check asks for /livez, not /readyz, because a worker that restores its state is healthy. The check uses no proxy, because a
# proxy variable must not redirect a request to loopback. Over TLS it verifies nothing: the certificate hardly names 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as u; e = os.environ; s = 'https' if e.get('WORDCOUNT_HTTP_TLS_CERT_FILE') else 'http'; u.build_opener(u.ProxyHandler({}), u.HTTPSHandler(context=ssl._create_unverified_context())).open(s + '://127.0.0.1:' + e['WORDCOUNT_HTTP_PORT'] + '/livez', timeout=3)"]
ENTRYPOINT ["wordcount"]
CMD ["worker"]
