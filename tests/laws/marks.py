"""Which doors a question goes through: each unless it says otherwise."""

from __future__ import annotations

import pytest

python_only = pytest.mark.doors("python")
"""For questions that put a plugin between, or ask what only Python can be asked."""
