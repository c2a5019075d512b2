"""How long a value may be that travels in arguments, and what stands for a longer one (see `penstock.launcher`)."""

from __future__ import annotations

REFERENCE = "penstock-gcs:"
"""What stands for a text that is too long to travel in arguments: then bucket and path of the object that it is."""

LONGEST = 8 * 1024
"""Characters of a parameter that travel in arguments; there are 100,000 for all of a container (see `sizes`)."""
