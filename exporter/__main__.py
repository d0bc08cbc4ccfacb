"""`python -m exporter` is `ward-exporter`."""

import sys

from exporter.cli import main

sys.exit(main())
