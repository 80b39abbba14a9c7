"""Temporary folders that live as long as the objects that need them."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path


class Folder:
    """A temporary folder, which is removed with this object, by the process that has made it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="upnext-"))
        self._remove = weakref.finalize(self, _remove, str(self.path), os.getpid())


def _remove(path: str, owner: int) -> None:
    # A forked process has a copy of the object, and not the folder.
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
