"""A network exporter for Prometheus: one tight probe loop over the whole inventory."""

__version__ = "0.1.0"
