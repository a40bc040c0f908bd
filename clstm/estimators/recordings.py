"""Recordings of speech, who speaks in them and what is said, as people give them: checked, and in batches."""

from __future__ import annotations

import numpy as np

from .. import _arrays

UNEVEN = 0.1  # by which lengths are changed before rows of similar length are put together, so that batches differ


def checked_recordings(name, X):
    """A list of arrays (T_n, F) of float32; at least one, all of F finite features and at least a frame."""
    if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__len__"):
        raise _arrays.wrong(TypeError, name, "a list of arrays (T, F), or an array (N, T, F)", _arrays.kind(X))
    if not len(X):
        raise _arrays.wrong(ValueError, name, "at least one recording", "none")
    found = []
    for n, row in enumerate(X):
        x = _arrays.real(f"{name}[{n}]", row, np.dtype(np.float32))
        if x.ndim != 2 or 0 in x.shape:
            raise _arrays.wrong(ValueError, f"{name}[{n}]", "shape (T, F), with at least a frame", f"shape {x.shape}")
        if found and x.shape[1] != found[0].shape[1]:
            expected = f"{found[0].shape[1]} features, as {name}[0] has"
            raise _arrays.wrong(ValueError, f"{name}[{n}]", expected, x.shape[1])
        if not np.isfinite(x).all():
            t, f = np.argwhere(~np.isfinite(x))[0]
            raise _arrays.wrong(ValueError, f"{name}[{n}]", "finite values", f"{x[t, f]} at frame {t}, feature {f}")
        found.append(x)
    return found


def checked_speakers(speakers, count):
    """A name for each recording, or None."""
    if speakers is None:
        return None
    speakers = _arrays.array_of("speakers", speakers)
    if speakers.shape != (count,):
        expected = f"shape ({count},), a speaker for each recording"
        raise _arrays.wrong(ValueError, "speakers", expected, f"shape {speakers.shape}")
    return speakers.tolist()


def checked_labels(name, y, count, units):
    """Lists of labels, and whether they were texts, which are made of `units`."""
    if isinstance(y, (str, bytes, dict)) or not hasattr(y, "__len__"):
        raise _arrays.wrong(TypeError, name, "a list of texts, or of lists of labels", _arrays.kind(y))
    if len(y) != count:
        raise _arrays.wrong(ValueError, name, f"{count}, as many as X has recordings", len(y))
    texts = isinstance(y[0], str)
    return [labels_of(f"{name}[{n}]", row, texts, units) for n, row in enumerate(y)], texts


def labels_of(name, row, texts, units):
    """The labels of a recording."""
    if isinstance(row, str) != texts or not hasattr(row, "__iter__"):
        raise _arrays.wrong(TypeError, name, "a str, as y[0]" if texts else "a list of str", _arrays.kind(row))
    found = list(row) if not texts or units == "characters" else row.split()
    if not found:
        raise _arrays.wrong(ValueError, name, "at least one label", repr(row))
    for label in found:
        if not isinstance(label, str):
            raise _arrays.wrong(TypeError, name, "labels that are str", f"{label!r} ({_arrays.kind(label)})")
    return found


def changing(X, targets, front_end, augmentation, batch_size, rng):
    """Batches of an epoch for `Trainer.fit`: recordings, changed anew each time."""
    seed = int(rng.integers(2**63))

    def batches(epoch):
        rng = np.random.default_rng([seed, epoch])
        made = [front_end.changed(x, augmentation, rng) for x in X]
        for rows in alike([len(x) for x in made], batch_size, rng):
            yield [made[k] for k in rows], [targets[k] for k in rows]

    return batches


def alike(lengths, size, rng):
    """The rows of an epoch's batches: of similar lengths, in random order."""
    uneven = np.array(lengths) * np.exp(rng.uniform(-UNEVEN, UNEVEN, len(lengths)))
    order = np.argsort(uneven)
    starts = range(0, len(order), size)
    return [order[starts[k] : starts[k] + size] for k in rng.permutation(len(starts))]
