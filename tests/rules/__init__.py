"""The rule pack, held against promtool of both generations and vmalert-tool."""
