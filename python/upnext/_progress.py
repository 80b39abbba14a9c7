"""Progress of long work, in terminals and notebooks."""

from __future__ import annotations

import sys
from typing import Any


def is_shown(progress: bool | None) -> bool:
    """Whether to show progress: as asked for, or else where someone looks at it."""
    if progress is not None:
        return progress
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


class Bar:
    """Shows the events of a training as a bar of tqdm, if tqdm is installed."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            tqdm = None
        self._new, self._bar, self._epochs, self._member = tqdm, None, 1, ""

    def __call__(self, event: str, record: dict[str, Any]) -> None:
        if self._new is None:
            return
        if event == "begin":
            self.close()
            self._epochs = record["epochs"]
        elif event == "member":
            self.close()
            self._member = f"{record['name']} "
        elif event == "mini-batch":
            self._show(record, record["epoch"] - 1 + record["pairs"] / max(record["of"], 1))
        elif event == "epoch":
            self._show(record, record["epoch"])

    def _show(self, record: dict[str, Any], epochs: float) -> None:
        if self._bar is None:
            form = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._bar = self._new(total=self._epochs, bar_format=form)
        self._bar.set_description(f"{self._member}epoch {record['epoch']}/{self._epochs}", refresh=False)
        self._bar.set_postfix(loss=f"{record['loss']:.3f}", refresh=False)
        self._bar.update(epochs - self._bar.n)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
