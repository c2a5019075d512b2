"""Which doors a question goes through: each unless it says otherwise."""

from __future__ import annotations

import os

import pytest

python_only = pytest.mark.doors("python")
"""For questions that put a plugin between, or ask what only Python can be asked."""

with_files = pytest.mark.doors("python", "cli")
"""For questions about files of the caller's: no request carries any."""

not_by_the_wire = pytest.mark.doors("python", "cli", "http")
"""For questions of which the wire of Azure ML v1 has nothing to say: there it would be `/v1` once more."""

by_type_only = pytest.mark.doors("python", "cli", "azureml_v1")
"""For questions about text that is read by its declared type: JSON says what its values are."""

at_one_moment = pytest.mark.doors("python", "http")
"""For calls at the same time: each answer is from one moment, which a wire that is asked twice is not."""

in_one_process = pytest.mark.doors("python", "http", "azureml_v1")
"""For questions about what a process remembers from one call to the next: each command is one of its own."""

SHARES = {"python": 1.0, "http": 0.4}
"""How much of such calls each door makes: every group has a server there."""

over_http = pytest.mark.doors("http", "azureml_v1")
"""For questions about a server: who comes in, what it does without its dispatcher, and what is left when it dies."""

as_two_users = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")
"""For questions about what is another user's."""
