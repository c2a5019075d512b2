"""Runs in a step's container: makes each value that the step wrote its one text, and hands it on.

    outputs.py PLAIN NAME TYPE FROM TO [NAME TYPE FROM TO ...]

PLAIN is `yes` where a text is written as it is, and else empty.

It says what `penstock.spec.values.read_output` says, once more, because no image has penstock in it, and on any
Python from 3.4 on with nothing but its standard library. It stands in a shell's single quotes, between two expanders
(see `launcher`), so it has no single quote, no dollar sign and no doubled brace.
"""

import base64
import json
import math
import os
import re
import sys

MARKER = "penstock-b64:"
MOST = 64 * 1024
DIGITS = 4300
DEPTH = 100


def whole(text: str) -> int:
    """An integer of as many digits as penstock reads."""
    if len(text.lstrip("+-")) > DIGITS:
        raise ValueError("the number has too many digits")
    return int(text)


def held(value: object, depth: int = 0) -> object:
    """A value of JSON, looked through for what has no text."""
    if depth > DEPTH:
        raise ValueError("the value is nested more than " + str(DEPTH) + " deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("NaN and infinity are not values")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("the text holds a NUL character, which no argument can carry")
    if isinstance(value, dict):
        for key in value:
            held(key, depth)
            held(value[key], depth + 1)
    elif isinstance(value, list):
        for item in value:
            held(item, depth + 1)
    return value


def canonical(kind: str, text: str) -> str:
    """The one text of a value. Raises ValueError."""
    bare = text.strip()
    other = ValueError("expected " + kind + ", got " + ascii(text[:40]))  # a log takes no other text for sure
    if kind == "string":
        held(text)
        return text
    if kind == "boolean":
        if bare.lower() not in ("true", "false"):
            raise other
        return bare.lower()
    if kind == "integer":
        if not re.match("[+-]?[0-9]+\\Z", bare):
            raise other
        return str(whole(bare))
    if kind == "number":
        if not re.match("[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\\Z", bare):
            raise other
        return repr(held(float(bare)))
    try:
        value = json.loads(bare, parse_int=whole)
    except (ValueError, RuntimeError):  # a RecursionError is one
        raise other from None
    if not isinstance(value, list if kind == "list" else dict):
        raise other
    return json.dumps(held(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def carried(data: bytes) -> bytes:
    """A text as a parameter carries it: itself where nothing could touch it, else encoded."""
    plain = re.match(b"[!#%-z|~][ -#%-z|~]*\\Z", data) and not data.endswith(b" ")
    if plain and not re.match(b"penstock-[a-z0-9]+:", data):
        return data
    return MARKER.encode() + base64.b64encode(data)


def main(plain: str, given: "list[str]") -> None:
    """Hand on every output, or exit with what is wrong with the first that is not of its type."""
    while given:
        name, kind, path, to, *given = given
        try:
            with open(path, "rb") as file:  # noqa: PTH123  # as Python 3.4 has it
                data = file.read(MOST + 1)
            if len(data) <= MOST:
                data = canonical(kind, data.decode("utf-8")).encode("utf-8")
            if len(data) > MOST:
                raise ValueError("the value is more than 65,536 bytes of text")
        except UnicodeDecodeError:
            sys.exit("the output `" + name + "`: expected " + kind + " as UTF-8 text, got other bytes")
        except UnicodeEncodeError:
            sys.exit("the output `" + name + "`: the text holds a lone surrogate, which is not Unicode text")
        except ValueError as error:
            sys.exit("the output `" + name + "`: " + str(error))
        try:
            folder = os.path.dirname(to)  # noqa: PTH120  # as above
            if not os.path.isdir(folder):  # noqa: PTH112  # as above
                os.makedirs(folder)  # noqa: PTH103  # as above
            with open(to, "wb") as file:  # noqa: PTH123  # as above
                file.write(data if plain else carried(data))
        except OSError as error:
            sys.exit("the output `" + name + "` could not be handed on: " + str(error.strerror))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
