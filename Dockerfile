# The image holds CPython, the libraries it loads, the locked packages and npugate, and little else.
# Only what every builder knows is used: BuildKit, docker's old builder, podman (docs/container.md).
ARG BASE_IMAGE=python:3.12-slim-bookworm

# A release puts the folder of the wheel that it tested in the place of this stage
# (docker buildx build --build-context wheel=FOLDER); every other build makes the wheel here.
# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS wheel
WORKDIR /src
COPY tools/install_locks.sh tools/
COPY requirements/pip.lock requirements/build.lock requirements/
RUN python -m venv /opt/build \
 && PIP_NO_CACHE_DIR=1 tools/install_locks.sh /opt/build build
COPY pyproject.toml setup.py README.md LICENSE ./
COPY npugate npugate
COPY checks checks
COPY fixers fixers
COPY third_party third_party
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation -w /dist .

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS build
WORKDIR /src
# The packages come first: they change least, so most builds find them in the cache.
COPY tools/install_locks.sh tools/
COPY requirements/pip.lock requirements/run.lock requirements/
RUN python -m venv /opt/pip \
 && PIP_NO_CACHE_DIR=1 tools/install_locks.sh /opt/pip \
 && python -m venv --without-pip /opt/venv \
 && /opt/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --no-deps \
      --only-binary :all: --require-hashes -r requirements/run.lock
COPY --from=wheel /dist /dist
RUN /opt/pip/bin/pip --python /opt/venv/bin/python install \
      --no-cache-dir --no-compile --no-deps /dist/*.whl
COPY entrypoint.py ./
COPY tools/image tools/image
RUN tools/image/make_rootfs.sh /opt/venv /rootfs

FROM scratch
LABEL org.opencontainers.image.title="npugate" \
      org.opencontainers.image.description="Checks ONNX models against the limits of an NPU" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8
COPY --from=build /rootfs /
# No USER: GitHub's runner mounts its folders for root. Any other uid works too (docs/container.md).
ENTRYPOINT ["/usr/local/bin/python3", "-I", "/app/entrypoint.py"]
CMD ["--help"]
