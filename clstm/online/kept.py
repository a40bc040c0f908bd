"""Files of what learns online."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from ..training import checkpoint

if TYPE_CHECKING:
    import os

Self = TypeVar("Self", bound="Kept")


class Kept(ABC):
    """Something that can be kept in a file, and goes on from there to the same bits."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes everything to one file, from which `load` makes what goes on to the same bits.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        ValueError
            No event has been learnt yet.
        OSError
            The file cannot be written; an older one is as it was.
        """
        checkpoint.write(path, {"class": type(self).__name__, **self._kept()})

    @classmethod
    def load(cls: type[Self], path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        OnlineForecaster or OnlineAnomalyDetector
            An object of this class.

        Raises
        ------
        ValueError
            The file is damaged, or holds something else; the message has the file and the reason.
        OSError
            The file cannot be read.
        """
        found = checkpoint.read(path)
        try:
            if found["class"] != cls.__name__:
                raise ValueError(f"it holds a {found['class']!r:.40}, no {cls.__name__}")
            return cls._restored(found)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(f"{path}: no {cls.__name__} can be made of it: {error!r:.200}") from error

    @abstractmethod
    def _kept(self) -> dict[str, Any]:
        """What a file has to hold; raises ValueError before the first event."""

    @classmethod
    @abstractmethod
    def _restored(cls: type[Self], found: dict[str, Any]) -> Self:
        """An object of what `_kept` gave; raises, if it is something else."""
