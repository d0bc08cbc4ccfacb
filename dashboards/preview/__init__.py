"""`make preview`: the dashboards' panels drawn with live data, for people without a Grafana at hand."""
