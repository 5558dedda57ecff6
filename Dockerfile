# The operator's image; `make image` builds it, with Docker or without. BASE: any image with Python 3.11 or later and its venv.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
# A secret named `ca` is a certificate bundle for a network that has its own; without it pip trusts what it ships.
# Bytecode is written here, never checked again: the root file system is read-only later, and a start without it takes
# seconds longer. pip has done its work then, and goes.
COPY requirements.txt .
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    export PYTHONHASHSEED=0; \
    python3 -m venv /opt/runwright \
    && /opt/runwright/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
        --require-hashes --only-binary :all: -r requirements.txt \
    && /opt/runwright/bin/pip uninstall --yes --quiet pip setuptools \
    && /opt/runwright/bin/python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/runwright/lib
# The package is pure Python and its dependencies are the pinned ones above, so nothing is left for an installer to do.
# It goes into a tree of its own, so that a change of it leaves the large layer of dependencies as it is.
COPY operator/runwright /tmp/runwright
COPY deploy/sbom.py /tmp/
RUN site=/opt/package$(/opt/runwright/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))") \
    && mkdir -p "$site" /opt/package/opt/runwright/bin \
    && cp -r /tmp/runwright "$site/runwright" \
    && printf '#!/opt/runwright/bin/python\nimport sys\n\nfrom runwright.cli import main\n\nsys.exit(main())\n' \
        > /opt/package/opt/runwright/bin/runwright \
    && chmod 755 /opt/package/opt/runwright/bin/runwright \
    && /opt/runwright/bin/python /tmp/sbom.py /tmp/runwright > /opt/package/opt/runwright/sbom.cdx.json \
    && /opt/runwright/bin/python -m compileall -q -f -s /opt/package -p / --invalidation-mode unchecked-hash "$site/runwright"

FROM ${BASE}
# USER and HOME: Kopf asks who it is, and the Kubernetes client where its home is; a uid without an entry in /etc/passwd has neither.
ENV PATH=/opt/runwright/bin:$PATH USER=runwright HOME=/ PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/runwright /opt/runwright
COPY --from=build /opt/package /
USER 65532:65532
ENTRYPOINT ["runwright"]
CMD ["operator"]
