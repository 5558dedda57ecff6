# The operator's image. `make image` builds it with Docker or buildah. BASE: any image with Python 3.11 or later and its venv.
# Before a release, `make pin-base` adds the digest: python:3.11-slim@sha256:… Without Docker, `make image` uses a base that it
# builds itself and selects by its digest.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
# The secret `ca` is an optional certificate bundle for networks with their own CA. Without it, pip uses its own bundle.
# The bytecode is compiled here without later checks, because the root file system is read-only at run time and a start
# without bytecode takes seconds longer. pip is removed after the installation.
COPY requirements.txt .
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    export PYTHONHASHSEED=0; \
    python3 -m venv /opt/runwright \
    && /opt/runwright/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
        --require-hashes --only-binary :all: -r requirements.txt \
    && /opt/runwright/bin/pip uninstall --yes --quiet pip setuptools \
    && /opt/runwright/bin/python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/runwright/lib
# The package is pure Python and its dependencies are installed above, so copying it is enough. It is in a separate tree, so
# that a change does not affect the large layer of dependencies.
COPY operator/runwright /tmp/runwright
COPY deploy/sbom.py /tmp/
RUN site=/opt/package$(/opt/runwright/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") \
    && mkdir -p "$site" /opt/package/opt/runwright/bin \
    && cp -r /tmp/runwright "$site/runwright" \
    && printf '#!/opt/runwright/bin/python\nfrom runwright.cli import run\n\nrun()\n' \
        > /opt/package/opt/runwright/bin/runwright \
    && chmod 755 /opt/package/opt/runwright/bin/runwright \
    && /opt/runwright/bin/python /tmp/sbom.py /tmp/runwright > /opt/package/opt/runwright/sbom.cdx.json \
    && /opt/runwright/bin/python -m compileall -q -f -s /opt/package -p / --invalidation-mode unchecked-hash "$site/runwright"

FROM ${BASE}
# USER and HOME: Kopf reads the user name and the Kubernetes client the home folder. The uid has no entry in /etc/passwd.
ENV PATH=/opt/runwright/bin:$PATH USER=runwright HOME=/ PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/runwright /opt/runwright
COPY --from=build /opt/package /
USER 65532:65532
ENTRYPOINT ["runwright"]
CMD ["operator"]
