"""``python -m array_losses`` is the command `array-losses`."""

import sys

from array_losses.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
