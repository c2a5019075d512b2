"""Text as a person may see it, whatever is in it; apart from the errors because the command line starts with it."""

from __future__ import annotations


def with_article(word: str) -> str:
    """A word of ours with `a` or `an` before it, as it is spoken."""
    return f"{'an' if word[:1] in tuple('aeio') else 'a'} {word}"


def printable(text: str) -> str:
    """The text on one line and harmless to a terminal: line breaks and control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
