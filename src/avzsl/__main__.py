"""`python -m avzsl` is the command `avzsl`."""

from __future__ import annotations

import sys

from avzsl.cli import main

if __name__ == "__main__":
    sys.exit(main())
