"""Side-by-side measurements against the peers: `python -m bench [NAME...] [--quick]`."""
