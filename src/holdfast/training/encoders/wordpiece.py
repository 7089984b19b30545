"""WordPiece: from a text to the numbers of a vocabulary, as BERT and its kin read it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

__all__ = ["WORD_CHARACTERS_MAX", "WordPiece"]

WORD_CHARACTERS_MAX = 100  # a longer word is unknown, as in the original
CLS, SEP, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
_SPECIAL = (CLS, SEP, UNKNOWN, "[PAD]", "[MASK]")
# Blocks of ideographs, which are words by themselves.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


@dataclass(frozen=True)
class WordPiece:
    """A vocabulary, one piece a line of `vocab.txt`; `##` begins a piece inside a word.

    A vocabulary without capital letters reads every text in lower case and without accents.
    Source: Devlin et al. (2019), "BERT", and the tokenizer published with it.

    >>> WordPiece(("[UNK]", "[CLS]", "[SEP]", "refund", "##s", "!")).ids("Refunds!", 8)
    [1, 3, 4, 5, 2]
    """

    vocabulary: tuple[str, ...]

    @classmethod
    def read(cls, data: bytes) -> WordPiece:
        """Return the vocabulary of a file.

        Raises:
            ValueError: it is not UTF-8, or lacks [CLS], [SEP] or [UNK].
        """
        pieces = tuple(line.rstrip("\r") for line in data.decode("utf-8").split("\n"))
        pieces = pieces[:-1] if pieces and not pieces[-1] else pieces
        lacks = [piece for piece in (CLS, SEP, UNKNOWN) if piece not in pieces]
        if lacks:
            raise ValueError(f"it has no line {lacks[0]}")
        return cls(pieces)

    def ids(self, text: str, most: int) -> list[int]:
        """Return the pieces' numbers between [CLS] and [SEP]; at most `most`, the rest cut off."""
        place = self._place
        found = [place[CLS]]
        for word in self._words(text):
            found += self._pieces(word)
            if len(found) >= most:
                break
        return [*found[: most - 1], place[SEP]]

    def _pieces(self, word: str) -> list[int]:
        """Return the longest known pieces of a word from left to right."""
        place, found, start = self._place, [], 0
        if len(word) > WORD_CHARACTERS_MAX:
            return [place[UNKNOWN]]
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                at = place.get(prefix + word[start:end])
                if at is not None:
                    found.append(at)
                    start = end
                    break
            else:
                return [place[UNKNOWN]]
        return found

    def _words(self, text: str) -> Iterator[str]:
        for word in "".join(_clean(text)).split():
            if self._lower:
                spelled = unicodedata.normalize("NFD", word.lower())
                word = "".join(c for c in spelled if unicodedata.category(c) != "Mn")
            yield from _parted(word)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {piece: at for at, piece in enumerate(self.vocabulary)}

    @cached_property
    def _lower(self) -> bool:
        return all(piece == piece.lower() for piece in self.vocabulary if piece not in _SPECIAL)


def _clean(text: str) -> Iterator[str]:
    """Yield characters without control codes, space for every kind of it, around ideographs."""
    for char in text:
        if char in "\t\n\r" or unicodedata.category(char) == "Zs":
            yield " "
        elif char in "\0\ufffd" or unicodedata.category(char)[0] == "C":
            continue
        elif any(low <= ord(char) <= high for low, high in _IDEOGRAPHS):
            yield f" {char} "
        else:
            yield char


def _parted(word: str) -> Sequence[str]:
    """Return a word cut at punctuation, each mark by itself."""
    parts: list[str] = []
    fresh = True
    for char in word:
        if _is_punctuation(char):
            parts.append(char)
            fresh = True
        elif fresh:
            parts.append(char)
            fresh = False
        else:
            parts[-1] += char
    return parts


def _is_punctuation(char: str) -> bool:
    code = ord(char)
    symbol = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return symbol or unicodedata.category(char)[0] == "P"
