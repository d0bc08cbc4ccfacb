# The exporter: `serve` unless told otherwise, as a user that is not root, with nothing to write but /var/lib/ward.
# docs/compose.md says how it sends ICMP without being root.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# Another package index: docker compose build --build-arg PIP_INDEX_URL=https://pypi.bank.example/simple
ARG PIP_INDEX_URL
RUN python -m venv /opt/ward
WORKDIR /src
# What seldom changes comes first: a change of the exporter alone installs nothing else again.
COPY requirements.lock ./
RUN /opt/ward/bin/pip install --only-binary=:all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
RUN /opt/ward/bin/pip install --no-deps --no-build-isolation . \
 && /opt/ward/bin/pip uninstall -y flit_core setuptools pip \
 && find /opt/ward -name tests -type d -path '*/numpy/*' -prune -exec rm -r {} +

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/ward /opt/ward
# A new volume takes over owner and mode.
RUN install -d -o 9841 -g 9841 -m 0700 /var/lib/ward
ENV PATH=/opt/ward/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /var/lib/ward
# A number, so that whoever forbids root need not look into /etc/passwd.
USER 9841:9841
EXPOSE 9841
# Past any proxy: Docker puts those of its client's configuration into the environment.
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=1m \
  CMD ["python", "-c", \
       "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:9841/-/healthy', timeout=4)"]
ENTRYPOINT ["ward-exporter"]
CMD ["serve", "--storage.path=/var/lib/ward"]
