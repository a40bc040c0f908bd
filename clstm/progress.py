"""The progress bar of a training: tqdm where somebody looks, nothing anywhere else."""

import sys


class Silent:
    """Takes what a bar takes and shows nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def update(self, n=1):
        """Nothing happens."""

    def set_description(self, description, refresh=True):
        """Nothing happens."""

    def set_postfix(self, **values):
        """Nothing happens."""


def bar(total, wanted, unit="batch"):
    """A tqdm bar of `total` units on stderr, or a `Silent` one.

    It is silent if not `wanted`, if stderr is not a terminal (a file, a pipe, none at all), or if tqdm is not
    installed; tqdm is imported only if all three are well.

    Parameters
    ----------
    total : int
    wanted : bool
    unit : str

    Examples
    --------
    >>> with bar(3, wanted=False) as progress:
    ...     progress.update()
    """
    if not (wanted and sys.stderr is not None and sys.stderr.isatty()):
        return Silent()
    try:
        from tqdm import tqdm
    except ImportError:
        return Silent()
    return tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True)
