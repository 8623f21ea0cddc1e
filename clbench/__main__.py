"""``python -m clbench``: the command line without its installed script; how a suite starts its runs."""

from __future__ import annotations

import sys

from clbench.cli import main
from clbench.stopping import stop_with_parent

if __name__ == "__main__":
    sys.argv[0] = "clbench"  # what a run records as its command line
    stop_with_parent()
    main()
