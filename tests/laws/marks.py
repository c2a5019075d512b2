"""Which doors a question goes through: each unless it says otherwise."""

from __future__ import annotations

import pytest

python_only = pytest.mark.doors("python")
"""For questions that put a plugin between, or ask what only Python can be asked."""

with_files = pytest.mark.doors("python", "cli")
"""For questions about files of the caller's: no request carries any."""

not_by_the_wire = pytest.mark.doors("python", "cli", "http")
"""For questions of which the wire of Azure ML v1 has nothing to say: there it would be `/v1` once more."""

by_type_only = pytest.mark.doors("python", "cli", "azureml_v1")
"""For questions about text that is read by its declared type: JSON says what its values are."""
