"""``python -m anygrad``."""

from __future__ import annotations

import sys

from anygrad._cli import main

if __name__ == "__main__":
    sys.exit(main())
