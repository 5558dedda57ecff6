# The operator's image. BASE is any image with Python 3.11 or later; BUILD_BASE one that has venv and pip too
# (python:*-slim has both). `make image` builds it, with Docker or without.
ARG BASE=python:3.11-slim
ARG BUILD_BASE=${BASE}

FROM ${BUILD_BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/runwright
# A secret named `ca` is a certificate bundle for a network that has its own; without it pip trusts what it ships.
COPY requirements.txt .
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    /opt/runwright/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
        --require-hashes --only-binary :all: -r requirements.txt
# Only the package and its start script are added: its dependencies are the pinned ones above, and pip goes.
COPY operator/runwright operator/runwright
RUN site=$(/opt/runwright/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") \
    && cp -r operator/runwright "$site/runwright" \
    && printf '#!/opt/runwright/bin/python\nimport sys\n\nfrom runwright.cli import main\n\nsys.exit(main())\n' \
        > /opt/runwright/bin/runwright \
    && chmod 755 /opt/runwright/bin/runwright \
    && /opt/runwright/bin/pip uninstall --yes --quiet pip setuptools \
    && find /opt/runwright -name __pycache__ -prune -exec rm -rf {} + \
    # Bytecode now, checked by hash: the root file system is read-only later, and a start without it takes seconds longer.
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash "$site"

FROM ${BASE}
COPY --from=build /opt/runwright /opt/runwright
ENV PATH=/opt/runwright/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["runwright"]
CMD ["operator"]
