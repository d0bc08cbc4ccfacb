"""The compose file is read by trixie's Compose, its programs are trixie's: without them nothing is tested."""

from tests.servers import TRIXIE, generations

collect_ignore = [] if TRIXIE in generations() else ["test_file.py", "test_pages.py", "test_running.py"]
