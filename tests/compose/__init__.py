"""The compose file, what it mounts, and the image that it builds, as far as that can be run without an engine."""
