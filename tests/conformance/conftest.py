"""Fixtures of the kit's own suite."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent

# What is planted is imported by every process of the kit, by its name below `tests`.
for place in (HERE, HERE.parent):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
