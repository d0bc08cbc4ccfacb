"""What makes a release and looks it over: `python -m release`, `python -m release.audit`; docs/release.md."""
