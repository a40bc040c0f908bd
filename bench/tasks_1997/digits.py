"""Images and signals as sequences to be classified; the packages that have the data are optional.

| loader | package, its licence | data |
| --- | --- | --- |
| rows, pixels | scikit-learn, BSD-3-Clause | 1,797 digits of 8 x 8, the test set of Alpaydin's at the UCI repository |
| mnist1d | mnist1d, Apache-2.0 | 5,000 made signals of 40 points (Greydanus 2020) |
"""

from __future__ import annotations

import importlib

import numpy as np

from .sequences import Sequences, last, one_hot

CLASSES = 10
SIDE = 8
BRIGHTEST = 16


def rows() -> Sequences:
    """The digits of scikit-learn, read row by row from the top: x (1797, 8, 8) from 0 to 1.

    Raises
    ------
    ImportError
        scikit-learn is not installed.
    """
    found = needed("sklearn.datasets", "scikit-learn").load_digits()
    return classified(found.images.reshape(-1, SIDE, SIDE) / BRIGHTEST, found.target)


def pixels() -> Sequences:
    """The digits of scikit-learn, read pixel by pixel, row after row: x (1797, 64, 1) from 0 to 1.

    Raises
    ------
    ImportError
        scikit-learn is not installed.
    """
    found = needed("sklearn.datasets", "scikit-learn").load_digits()
    return classified(found.images.reshape(-1, SIDE * SIDE, 1) / BRIGHTEST, found.target)


def mnist1d():
    """MNIST-1D, made by its package with its defaults; nothing is downloaded.

    Returns
    -------
    training, test : Sequences
        x (4000, 40, 1) and (1000, 40, 1).

    Raises
    ------
    ImportError
        mnist1d is not installed.

    Notes
    -----
    The package seeds the global generators of NumPy and of `random`, always with the same number.
    """
    package = needed("mnist1d.data", "mnist1d")
    found = package.make_dataset(package.get_dataset_args())
    parts = (found["x"], found["y"]), (found["x_test"], found["y_test"])
    return tuple(classified(x[..., np.newaxis], labels) for x, labels in parts)


def split(data, test, rng):
    """Training and test set: a random choice of `test` sequences for the second one.

    Parameters
    ----------
    data : Sequences
    test : int
    rng : numpy.random.Generator
    """
    mixed = rng.permutation(len(data))
    return data.take(np.sort(mixed[test:])), data.take(np.sort(mixed[:test]))


def classified(x, labels):
    """Sequences of equal lengths, whose class is told at the end."""
    x, labels = np.ascontiguousarray(x, np.float32), np.asarray(labels, np.int64)
    lengths = np.full(len(x), x.shape[1], np.int64)
    return Sequences(x, one_hot(labels, CLASSES), lengths, last(lengths, x.shape[1]), labels)


def needed(module, package):
    """A module of a package that is optional."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"these data need the package {package}: pip install {package} ({error})") from error


def accuracy(outputs, data) -> float:
    """The share of sequences whose largest output (N, 10) is that of their class."""
    return float(np.mean(np.argmax(outputs, axis=1) == data.labels))
