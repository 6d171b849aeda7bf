"""``python -m array_losses.cli`` is the command `array-losses`."""

import sys

from array_losses.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
