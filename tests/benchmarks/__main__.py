"""``python -m tests.benchmarks``, run in a checkout: measure, print tables, write files."""

import sys

from tests.benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main())
