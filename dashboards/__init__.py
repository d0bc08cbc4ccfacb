"""The dashboards: Python that writes the JSON files beside it, which Grafana is provisioned with."""
