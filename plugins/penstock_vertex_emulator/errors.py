"""What a call is refused with, in Google's codes, on both transports."""

from __future__ import annotations

CODES = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "UNAUTHENTICATED": (16, 401),
}
"""Number and HTTP status of each canonical code; source: google/rpc/code.proto."""


class ApiError(Exception):
    """A refusal: a canonical code and a line for whoever called."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def number(self) -> int:
        """The number of the code, as gRPC and `google.rpc.Status` have it."""
        return CODES[self.status][0]

    @property
    def http(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.status][1]


def invalid(message: str) -> ApiError:
    """What is wrong with a request."""
    return ApiError("INVALID_ARGUMENT", message)


def unsupported(message: str) -> ApiError:
    """What Vertex AI can do and this emulator cannot."""
    return ApiError("UNIMPLEMENTED", f"{message}: the emulator does not do this")
