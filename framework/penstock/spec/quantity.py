"""Durations and sizes as people write them (`2h`, `4Gi`) and as programs need them (seconds, bytes)."""

from __future__ import annotations

import math
import re

from penstock.errors import SpecInvalid
from penstock.spec.values import plain

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip

# Timers of operating systems overflow not far above; nobody who means "for ever" writes a number.
_LONGEST = 36500 * 86400.0
_LARGEST = 2**63 - 1


class QuantityInvalid(SpecInvalid, ValueError):
    """What is no duration, size or number of cores. Its code is `value_invalid`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="value_invalid")


def seconds_of(value: str | float | None) -> float:
    """Seconds from a number or from text like `500ms`, `10s`, `2h`. None stays None. Raises QuantityInvalid."""
    value = plain(value)
    if value is None:
        return None  # type: ignore[return-value]  # an attrs converter is typed by its field, which allows None
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,20}(?:\.\d{1,20})?)(ms|s|m|h|d)", value, re.A)
        if not found and re.fullmatch(r"[0-9]{1,20}", value):
            raise QuantityInvalid(
                f"`{value}` is not a duration without its unit: write `{value}s`, `{value}m` or `{value}d`"
            )
        if not found:
            raise QuantityInvalid(f"`{value[:40]}` is not a duration: write a number and ms, s, m, h or d, like `10s`")
        seconds = float(found[1]) * _SECONDS[found[2]]
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise QuantityInvalid("a duration is text like `10s` or a number of seconds")
    else:
        seconds = value
    if not 0 <= seconds <= _LONGEST:
        raise QuantityInvalid("a duration is not negative and at most 36500d")
    return round(float(seconds), 6)


def duration_text(seconds: float) -> str:
    """The canonical text of a duration: the largest unit that divides it, `7200.0` as `2h`."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{format(seconds, 'f').rstrip('0')}s"


def bytes_of(value: str | int | None) -> int:
    """Bytes from a whole number or text like `512Mi`, `4Gi`, `2G`. None stays None. Raises QuantityInvalid."""
    value = plain(value)
    if value is None:
        return None  # type: ignore[return-value]  # an attrs converter is typed by its field, which allows None
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,20})(?:\.(\d{1,20}))?(|k|M|G|T|Ki|Mi|Gi|Ti)", value, re.A)
        part = (found[2] or "") if found else ""
        # Whole numbers all the way: a float would lose bytes above 2**53.
        size, rest = divmod(int(found[1] + part) * _BYTES[found[3]], 10 ** len(part)) if found else (0, 1)
        if rest:
            raise QuantityInvalid(f"`{value[:40]}` is not a size: write whole bytes, or like `512Mi`, `4Gi`, `2G`")
    elif isinstance(value, bool) or not isinstance(value, int):
        raise QuantityInvalid("a size is text like `4Gi` or a whole number of bytes")
    else:
        size = value
    if not 0 <= size <= _LARGEST:
        raise QuantityInvalid("a size is not negative and below 2**63 bytes")
    return size


def bytes_text(size: int) -> str:
    """The canonical text of a size: the largest binary unit that divides it, `4294967296` as `4Gi`."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)


def cores_of(value: float | None) -> float:
    """CPU cores as a positive number; a whole number and its float are the same. Raises QuantityInvalid."""
    value = plain(value)
    if value is None:
        return None  # type: ignore[return-value]  # an attrs converter is typed by its field, which allows None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise QuantityInvalid("cpu is a positive number of cores")
    if value > 10**6:
        raise QuantityInvalid("cpu is at most a million cores")
    return int(value) if value == int(value) else value
