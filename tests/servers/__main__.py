"""Installs the real servers of both generations; ends with status 1 and the reason where that fails."""

import sys

from tests.servers.install import ServersError, ensure

try:
    ensure()
except ServersError as failure:
    sys.exit(f"tests.servers: {failure}")
