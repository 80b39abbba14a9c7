"""The exceptions of the package, with the sentences of the library. Each is also the built-in exception that one expects."""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "FileError",
    "MissingFileError",
    "ModelFileError",
    "NotFiniteError",
    "NotFittedError",
    "NotSupportedError",
    "OutOfMemoryError",
    "StoppedError",
    "UnknownItemError",
    "UpnextError",
    "UpnextWarning",
]


class UpnextWarning(UserWarning):
    """A doubt: something in a log that looks wrong, or something that was left out."""


class UpnextError(Exception):
    """Any error of the package."""


class ConfigError(UpnextError, ValueError):
    """A parameter or an option that is invalid, by itself or together with others."""


class DataError(UpnextError, ValueError):
    """A log that cannot be read, or of which nothing is left."""


class FileError(UpnextError, OSError):
    """A file or folder that cannot be read or written."""


class MissingFileError(FileError, FileNotFoundError):
    """A file or folder that is not there."""


class ModelFileError(UpnextError, ValueError):
    """A folder that is no model, or a damaged one."""


class NotFiniteError(UpnextError, ArithmeticError):
    """A training that diverged, or scores that are no finite numbers."""


class NotFittedError(UpnextError, ValueError, AttributeError):
    """A model that has not been fitted yet."""


class NotSupportedError(UpnextError, TypeError):
    """What a model of this kind does not have, such as vectors."""


class OutOfMemoryError(UpnextError, MemoryError):
    """Work that would not fit into memory, refused before it begins."""


class StoppedError(UpnextError):
    """Work that was stopped before it had a result."""


class UnknownItemError(UpnextError, KeyError):
    """An item that the model does not know."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""
