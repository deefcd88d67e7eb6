"""The attributes of ``threading.Thread`` that memray changes while a tracker runs.

With Python 3.14, memray (1.20) wraps ``Thread._set_os_name`` each time, and never unwraps it.
"""

from __future__ import annotations

from threading import Thread


class ThreadAttributes:
    """The attributes of ``threading.Thread`` before a tracker starts.

    Attributes:
        are_memrays: whether another tracker has already changed them.
    """

    def __init__(self) -> None:
        attributes = vars(Thread)
        self._set_os_name = attributes.get("_set_os_name")
        self._wrapper: object = None
        interceptors = (attributes.get("_name"), attributes.get("_ident"))
        self.are_memrays = any(_is_memrays(each) for each in interceptors)

    def remember_wrapper(self) -> None:
        """Remember the wrapper that the tracker has set."""
        self._wrapper = vars(Thread).get("_set_os_name")

    def put_back(self) -> None:
        """Restore the old attributes, unless other code has changed them since."""
        wrapper = vars(Thread).get("_set_os_name")
        if self._set_os_name is not None and self._wrapper in (None, wrapper):
            Thread._set_os_name = self._set_os_name  # type: ignore[attr-defined]
        for name in ("_name", "_ident"):
            if _is_memrays(vars(Thread).get(name)):
                delattr(Thread, name)


def _is_memrays(attribute: object) -> bool:
    return type(attribute).__module__.partition(".")[0] == "memray"
