"""What a call is refused with, in the shape of Azure Resource Manager."""

from __future__ import annotations

import json
from dataclasses import dataclass

from penstock_emulator.faults import Fault
from penstock_emulator.http import Answer

CODES = {
    "InvalidRequest": 400,
    "UserError": 400,
    "MissingApiVersionParameter": 400,
    "InvalidApiVersionParameter": 400,
    "InvalidAuthenticationToken": 401,
    "InvalidAuthenticationTokenAudience": 401,
    "ExpiredAuthenticationToken": 401,
    "AuthenticationFailed": 401,
    "AuthorizationFailed": 403,
    "ResourceNotFound": 404,
    "InvalidResourceType": 404,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "Conflict": 409,
    "PreconditionFailed": 412,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "NotImplemented": 501,
    "BadGateway": 502,
    "ServiceUnavailable": 503,
    "GatewayTimeout": 504,
}
"""The HTTP status of each code. Sources: ARM's documentation of common errors; `UserError` is what Azure ML says."""


class ArmError(Exception):
    """A refusal: a code and a line for whoever called. `retry_after` are seconds; 0 says nothing of it."""

    def __init__(self, code: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after

    @property
    def http(self) -> int:
        """The HTTP status."""
        return CODES[self.code]

    def body(self) -> dict[str, object]:
        """The error as ARM's callers read it."""
        return {"error": {"code": self.code, "message": self.message, "details": [], "additionalInfo": []}}

    def answer(self) -> Answer:
        """The whole answer."""
        headers = {"Content-Type": "application/json; charset=utf-8", "x-ms-error-code": self.code}
        if self.retry_after:
            # Whole seconds: azure-core 1.41 raises at a fraction and takes 0 for nothing.
            headers["Retry-After"] = str(max(1, round(self.retry_after)))
        if self.http == 401:
            headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return Answer(self.http, headers, json.dumps(self.body()).encode())


@dataclass(frozen=True)
class AzureFault(Fault):
    """Besides: `retry_after` seconds that a refusal asks for; the seconds that the operation `takes` which a call
    begins; and `late`, with which that operation is accepted and fails in the end, with `message`.
    """

    retry_after: float = 0.0
    late: bool = False
    takes: float = 0.0


def of_fault(fault: AzureFault) -> ArmError:
    """The refusal that was asked for."""
    return ArmError(fault.error, fault.message, fault.retry_after)


def invalid(message: str) -> ArmError:
    """What is wrong with a request."""
    return ArmError("UserError", message)


def missing(kind: str, name: str) -> ArmError:
    """What is not there."""
    return ArmError("ResourceNotFound", f"{kind} {name} does not exist")


def unsupported(message: str) -> ArmError:
    """What Azure ML can do and this emulator cannot."""
    return ArmError("NotImplemented", f"{message}: the emulator does not do this")
