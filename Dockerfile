# One image for every role: a node is told by its environment what it is.
#   docker build .                  a node
#   docker build --target study .   the load and its analysis

FROM python:3.13-slim AS node-packages
COPY requirements/node.txt /tmp/
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
      --require-hashes --only-binary :all: -r /tmp/node.txt

FROM node-packages AS study-packages
COPY requirements/study.txt /tmp/
RUN python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
      --require-hashes --only-binary :all: -r /tmp/study.txt

# What runs needs no installer: pip goes, with the copy of it that ensurepip carries.
FROM python:3.13-slim AS base
RUN find / -xdev \( -path '*/bin/pip*' -o -path '*-packages/pip*' -o -path '*/lib/python3*/ensurepip' \
      -o -name 'pip-*.whl' \) -prune -exec rm -rf {} + \
 && groupadd --system --gid 10001 kvstore \
 && useradd --system --uid 10001 --gid kvstore --no-create-home --home-dir /nonexistent kvstore \
 && install --directory --owner kvstore --group kvstore --mode 700 /data
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER kvstore

FROM base AS study
ENV MPLCONFIGDIR=/tmp/matplotlib
COPY --from=study-packages /opt/venv /opt/venv
COPY kvstore kvstore
COPY analysis analysis
COPY playground playground
COPY wsgi.py gunicorn.conf.py locustfile.py ./
CMD ["python", "-m", "analysis"]

FROM base AS node
ENV HOST=0.0.0.0 PORT=5000
COPY --from=node-packages /opt/venv /opt/venv
COPY kvstore kvstore
COPY wsgi.py gunicorn.conf.py ./
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --timeout=5s CMD ["python", "-c", "import http.client, os, sys; \
node = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); \
node.request('GET', '/readyz'); \
sys.exit(node.getresponse().status != 200)"]
CMD ["gunicorn", "wsgi:app"]
