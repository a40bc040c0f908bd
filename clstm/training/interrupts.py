"""Ctrl-C during a training: it waits for the end of a step, so that weights, optimiser and generator fit each other."""

from __future__ import annotations

from typing import Any


class Interrupts:
    """While it is entered, the first Ctrl-C is only noted; `check` raises it. The second is raised at once.

    Only where Python would raise KeyboardInterrupt by itself: in the main thread, with no handler of anybody's own.
    """

    def __init__(self) -> None:
        self.noted = self.clean = self.handles = False

    def __enter__(self):
        import signal  # not every program trains
        import threading

        main = threading.current_thread() is threading.main_thread()
        self.handles = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self.handles:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error):
        if self.handles:
            import signal

            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number, frame):
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True

    def check(self, run: Any) -> None:
        """Between two steps: raises what was noted, unless a callback takes it for a wish to stop."""
        if not self.noted:
            return
        self.noted = False
        takers = [callback for callback in run.callbacks if callback.on_interrupt(run.trainer)]
        if not takers:
            self.clean = True
            raise KeyboardInterrupt(f"stopped {run.place()}; the network is as that step left it")
        run.stopped = run.paused = True
