"""Words of a text: the one place where a text is taken apart, for training and for serving."""

from __future__ import annotations

import re

__all__ = ["tokens"]

_WORD = re.compile(r"(?u)\b\w\w+\b")


def tokens(text: str | None, ngrams: int = 1) -> list[str]:
    """Return the words of a text in lower case, then its n-grams; none for a missing text.

    A word is two or more letters, digits or underscores, as in scikit-learn's `TfidfVectorizer`.

    >>> tokens("Call ME, please!", ngrams=2)
    ['call', 'me', 'please', 'call me', 'me please']
    """
    words: list[str] = _WORD.findall(text.lower()) if text else []
    found = list(words)
    for n in range(2, ngrams + 1):
        found += [" ".join(words[start : start + n]) for start in range(len(words) - n + 1)]
    return found
