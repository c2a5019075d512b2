"""Where things lie in the staging bucket, as paths below `staging`, and what a URI of Cloud Storage is."""

from __future__ import annotations

import re

RUNS = "runs"
"""The folder below staging that Vertex keeps the files of jobs in: the pipeline root."""
REPORTS = "reports"

_URI = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])((?:/[A-Za-z0-9._~-]+)*)")


def split_uri(staging: str) -> tuple[str, str]:
    """Bucket and prefix (without slashes around it, or empty) of a staging folder. Raises ValueError."""
    found = _URI.fullmatch(staging)
    if not found or any(part in (".", "..") for part in found[2].split("/")):
        raise ValueError(
            f"`{staging[:80]}` is no staging folder: write `gs://bucket` or `gs://bucket/prefix`, where a prefix has "
            "letters, digits, `.`, `_`, `~` and `-`"
        )
    return found[1], found[2].lstrip("/")


def object_path(staging: str, below: str) -> str:
    """`bucket/prefix/below`, the way to an object whose path below the staging folder is given."""
    return f"{staging.removeprefix('gs://').rstrip('/')}/{below}"


def code_object(archive_digest: str) -> str:
    """The path below staging of an archive with a digest (`sha256:...` or the bare hexadecimal)."""
    return f"code/{archive_digest.removeprefix('sha256:')}.tar"


def compiled_object(digest: str) -> str:
    """The path below staging of a compiled document with the sha256 of its bytes."""
    return f"compiled/{digest.removeprefix('sha256:')}.json"


def value_object(digest: str) -> str:
    """The path below staging of a long value with the sha256 of its text in UTF-8."""
    return f"values/{digest}"


def reports_folder(job: str, task: str) -> str:
    """The folder below staging where the launcher of a task leaves a report of each attempt, named `1`, `2`, ...

    `job` is the id of the pipeline job, the last part of its name. See `reports`.
    """
    return f"{RUNS}/{job}/{REPORTS}/{task}"
