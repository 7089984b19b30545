"""Pointers: how compiled functions pass a state on without counting references to it."""

from __future__ import annotations

from typing import Any

from holdfast.features.engine.compile import njit as _njit  # noqa: F401  (sets Numba up first)

from numba import types  # isort: skip
from numba.extending import intrinsic  # isort: skip

__all__ = ["pointer"]


def _pointer(_context: Any, array: Any) -> Any:
    """Return a pointer to an array's first number, to be read and written as `pointer[at]`.

    An array handed from function to function costs two calls each time, to count who holds it: two
    thirds of the kernel's time. A pointer costs nothing, is checked by nobody, and does not keep
    its array alive: the caller does.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = context.make_array(signature.args[0])(context, builder, arguments[0])
        return whole.data

    pointer_to: Any = types.CPointer
    return pointer_to(array.dtype)(array), code


pointer: Any = intrinsic(_pointer)
"""The first number of an array, as compiled functions pass it on."""
