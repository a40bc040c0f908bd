"""Recordings become features: reading wav files, and mel-frequency cepstral coefficients.

They are those of the speech literature (Davis and Mermelstein 1980), with the conventions of python_speech_features.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from . import _arrays

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["mfcc", "read_wav", "trim"]

LOUD = 95  # the percentile of loudness that counts as the loudest
FLOOR = 1e-8  # added to energies, so that silence has a logarithm


def mfcc(
    signal: ArrayLike,
    rate: float,
    *,
    count: int = 13,
    window: float = 0.025,
    hop: float = 0.010,
    filters: int = 26,
    emphasis: float = 0.97,
) -> np.ndarray:
    """Mel-frequency cepstral coefficients of a recording, as `SpeechRecognizer` takes them.

    The recording is differenced (pre-emphasis) and cut into frames under Hamming windows, without padding at its ends.
    The power spectrum of each, ``|FFT|^2 / n`` with n the next power of two, is summed under triangles that are evenly
    spaced in mel = 2595 log10(1 + f / 700 Hz); the logarithms of these energies, to which 1e-8 is added, go through an
    orthonormal cosine transform. Coefficient 0 is the loudness.

    Parameters
    ----------
    signal : array_like, (n,)
        Samples in -1 to 1; integers are divided by their largest size, 32768 for 16 bits.
    rate : float
        Samples per second.
    count : int, default 13
        Coefficients of a frame, at most `filters`.
    window, hop : float, default 0.025 and 0.010
        Length of a frame and distance between two, in seconds.
    filters : int, default 26
        Triangles from 0 Hz to half the rate.
    emphasis : float, default 0.97
        x[t] - emphasis * x[t - 1] is what is analysed; 0 to 1.

    Returns
    -------
    ndarray of float32, (T, count)
        T is 1 + (n - frame) // step, in samples.

    Raises
    ------
    TypeError, ValueError
        Naming the argument; the recording is shorter than a frame.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.speech import mfcc
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    >>> mfcc(tone, 8000).shape
    (98, 13)
    """
    x = _samples(signal)
    rate, window, hop = (
        _arrays.positive(name, value) for name, value in (("rate", rate), ("window", window), ("hop", hop))
    )
    count, filters = _arrays.size("count", count), _arrays.size("filters", filters)
    if count > filters:
        raise _arrays.wrong(ValueError, "count", f"at most filters, {filters}", count)
    emphasis = _arrays.number("emphasis", emphasis, "a number from 0 to 1")
    if not 0 <= emphasis <= 1:
        raise _arrays.wrong(ValueError, "emphasis", "a number from 0 to 1", emphasis)
    frame, step = (max(1, round(seconds * rate)) for seconds in (window, hop))
    if len(x) < frame:
        raise _arrays.wrong(ValueError, "signal", f"at least {frame} samples, a frame", len(x))
    x = np.append(x[0], x[1:] - emphasis * x[:-1])
    frames = np.lib.stride_tricks.sliding_window_view(x, frame)[::step]
    n = 1 << (frame - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * np.hamming(frame), n)) ** 2 / n
    energies = power @ _triangles(filters, n, rate).T
    return (np.log(energies + FLOOR) @ _cosines(count, filters).T).astype(np.float32)


def trim(cepstra: ArrayLike, decibels: float = 30.0, *, filters: int = 26) -> np.ndarray:
    """The frames from the first to the last that is not silent.

    Parameters
    ----------
    cepstra : array_like, (T, F)
        What `mfcc` gives; coefficient 0 is the loudness.
    decibels : float, default 30.0
        Frames that are softer than the loudest, the 95th percentile, by more than this are silent; above 0.
    filters : int, default 26
        As `mfcc` was told.

    Returns
    -------
    ndarray, (T', F)
        A view; at least one frame.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.speech import mfcc, trim
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
    >>> sound = np.concatenate([np.zeros(1600), tone, np.zeros(2400)])
    >>> len(mfcc(sound, 8000)), len(trim(mfcc(sound, 8000)))
    (98, 53)
    """
    x = np.asarray(cepstra)
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "iuf":
        raise _arrays.wrong(ValueError, "cepstra", "real numbers (T, F), at least one of each", f"shape {x.shape}")
    decibels, filters = _arrays.positive("decibels", decibels), _arrays.size("filters", filters)
    soft = np.percentile(x[:, 0], LOUD) - decibels * np.log(10) / 10 * np.sqrt(filters)
    loud = np.flatnonzero(x[:, 0] >= soft)
    return x[loud[0] : loud[-1] + 1]


def _triangles(filters, n, rate):
    """(filters, n // 2 + 1): weights of the bins of a spectrum, whose corners are whole bins."""
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 1400), filters + 2)
    corners = np.floor((n + 1) * 700 * (10 ** (mel / 2595) - 1) / rate)[:, np.newaxis]
    low, top, high = corners[:-2], corners[1:-1], corners[2:]
    k = np.arange(n // 2 + 1)
    up, down = (k - low) / np.maximum(top - low, 1), (high - k) / np.maximum(high - top, 1)
    return np.where((low <= k) & (k < top), up, np.where((top <= k) & (k < high), down, 0))


def _cosines(count, filters):
    """(count, filters): the first rows of the orthonormal cosine transform (DCT-II)."""
    k, m = np.arange(count)[:, np.newaxis], np.arange(filters)
    rows = np.sqrt(2 / filters) * np.cos(np.pi * k * (2 * m + 1) / (2 * filters))
    rows[0] /= np.sqrt(2)
    return rows


def _samples(signal):
    """Samples (n,) of float64, in -1 to 1 if they were integers."""
    x = np.asarray(signal)
    if x.dtype.kind not in "iuf":
        raise _arrays.wrong(TypeError, "signal", "an array of real numbers", _arrays.kind(signal))
    if x.ndim != 1:
        raise _arrays.wrong(ValueError, "signal", "shape (n,), one channel", f"shape {x.shape}")
    if x.dtype.kind == "f":
        if not np.isfinite(x).all():
            raise _arrays.wrong(ValueError, "signal", "finite values", f"{x[~np.isfinite(x)][0]}")
        return x.astype(np.float64)
    size = -float(np.iinfo(x.dtype).min) if x.dtype.kind == "i" else float(np.iinfo(x.dtype).max + 1) / 2
    return x / size - (x.dtype.kind == "u")


def read_wav(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Reads a recording, the mean of its channels.

    Parameters
    ----------
    path : str or path-like
        Of a .wav file with PCM or float samples (what `scipy.io.wavfile` reads).

    Returns
    -------
    signal : ndarray of float64, (n,)
        In -1 to 1.
    rate : int
        Samples per second.

    Raises
    ------
    ValueError
        The file is no such recording, or has no samples; the message has its name.
    OSError
        It cannot be read.

    Examples
    --------
    >>> import os, tempfile, numpy as np, scipy.io.wavfile
    >>> from clstm.speech import read_wav
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.wav")
    ...     scipy.io.wavfile.write(path, 8000, np.array([0, 16384, -32768], np.int16))
    ...     read_wav(path)
    (array([ 0. ,  0.5, -1. ]), 8000)
    """
    import scipy.io.wavfile  # for those who read files

    with open(path, "rb") as file:  # a path that cannot be read is an OSError
        try:
            rate, samples = scipy.io.wavfile.read(file)
        except Exception as error:  # SciPy raises whatever the bytes lead to
            raise ValueError(f"{os.fsdecode(path)}: no recording that can be read: {error}") from error
    if samples.size == 0:
        raise ValueError(f"{os.fsdecode(path)}: no samples")
    channels = samples.reshape(len(samples), -1)
    return np.mean([_samples(channel) for channel in channels.T], axis=0), int(rate)
