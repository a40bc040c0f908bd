"""What all estimators share: parameters by name as in scikit-learn, files, and what an unfitted one says.

An estimator is made by its parameters, which are kept as they are given; `fit` checks them, and sets attributes whose
names end in an underscore. These are all that `save` writes. scikit-learn is not needed, and where it is installed its
tools take these estimators for its own: they look at methods, not at base classes.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import _arrays, model_file, safetensors
from . import state

if TYPE_CHECKING:
    import os

    from ..layer import Layer

ENTRY = "clstm.estimator"  # its name among the metadata of the file
FORMAT = 1

# Of a parameter, what is worth trying around its value: a list, or a range
AROUND = {
    "hidden_size": lambda units: [max(1, units // 2), units, 2 * units],
    "dropout": lambda share: (0.0, 0.6),
    "epochs": lambda count: (max(1, count // 2), 2 * count),
    "learning_rate": lambda rate: (rate / 4, rate * 4, "log"),
    "weight_decay": lambda decay: (1e-4, 1e-1, "log"),
}

_estimators: dict[str, type[Estimator]] = {}  # class name -> class: what a file may name


class NotFittedError(ValueError, AttributeError):
    """An estimator that has learnt nothing is asked for what it has learnt."""


class Estimator:
    """Something that learns by `fit`, in the style of scikit-learn.

    A subclass lists its parameters in `__init__`, which stores them under their names and does nothing else. What it
    learns are attributes with an underscore at the end; one of them, ``net_``, is a layer.
    """

    kind: ClassVar[str | None] = None  # "classifier", "regressor", "outlier_detector", or None, as scikit-learn says it
    net_: Layer
    _callbacks: Any = None  # those that `clstm.tune` sets, where they look at each epoch; None: not in this estimator

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__name__.startswith("_"):
            _estimators[cls.__name__] = cls

    # Parameters

    @classmethod
    def _parameters(cls) -> list[inspect.Parameter]:
        return [one for one in inspect.signature(cls.__init__).parameters.values() if one.name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by their names.

        Parameters
        ----------
        deep : bool
            There for scikit-learn; no parameter is an estimator.

        Returns
        -------
        dict
        """
        return {one.name: getattr(self, one.name) for one in self._parameters()}

    def set_params(self, **params: Any) -> Estimator:
        """Changes parameters, which count from the next `fit` on.

        Parameters
        ----------
        **params

        Returns
        -------
        Estimator
            Itself.

        Raises
        ------
        ValueError
            There is no parameter of that name; nothing has changed then.
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                raise _arrays.wrong(ValueError, name, f"a parameter of {type(self).__name__}: {', '.join(known)}", name)
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _search_space(self) -> dict[str, Any]:
        """What `clstm.tune` tries if it is not told: what is around parameters that many estimators have."""
        params = self.get_params()
        return {name: around(params[name]) for name, around in AROUND.items() if name in params}

    def __repr__(self):
        given = []
        for one in self._parameters():
            value = getattr(self, one.name)
            if one.default is one.empty or not same(value, one.default):
                given.append(f"{one.name}={value!r}")
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_tags__(self):
        """What scikit-learn wants to know of an estimator; only it calls this."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type=self.kind,
            target_tags=TargetTags(required=self.kind in ("classifier", "regressor")),
            transformer_tags=None,
            classifier_tags=ClassifierTags() if self.kind == "classifier" else None,
            regressor_tags=RegressorTags() if self.kind == "regressor" else None,
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return "net_" in vars(self)

    def _check_fitted(self) -> None:
        """Raises NotFittedError, which is scikit-learn's too where that is loaded."""
        if not self.__sklearn_is_fitted__():
            raise sklearn_or("NotFittedError", NotFittedError)(
                f"this {type(self).__name__} has learnt nothing yet: call fit first"
            )

    # Files

    def _learnt(self) -> dict[str, Any]:
        """What `fit` has set, but for the network."""
        return {name: value for name, value in vars(self).items() if name.endswith("_") and name != "net_"}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a .safetensors file, from which `load` makes this estimator and `clstm.load` its network.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        TypeError
            A parameter is something that a file cannot hold, such as a Generator.
        OSError
            The file cannot be written; an older one is as it was.
        """
        self._check_fitted()
        entry = {
            "format": FORMAT,
            "class": type(self).__name__,
            "params": self.get_params(),
            "learnt": self._learnt(),
        }
        model_file.save(self.net_, path, {ENTRY: state.written(entry)})


def load(path: str | os.PathLike[str]) -> Estimator:
    """Reads an estimator that `save` wrote; what it predicts has the same bits.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Estimator
        Of the class that was saved.

    Raises
    ------
    ValueError
        The file is damaged, or holds no estimator; the message has the file and the reason.
    OSError
        The file cannot be read.
    """
    net = model_file.load(path)
    with safetensors.Reader(path) as reader:
        if ENTRY not in reader.metadata:
            raise reader.error(f"no estimator: its metadata have no entry {ENTRY!r}")
        try:
            self = _restored(state.read(reader.metadata[ENTRY]))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise reader.error(f"the entry {ENTRY!r} does not fit: {error!r:.200}") from error
    self.net_ = net
    return self


def _restored(entry):
    if entry["format"] != FORMAT:
        raise ValueError(f"format {entry['format']!r:.40}; this clstm reads {FORMAT}")
    if entry["class"] not in _estimators:
        raise ValueError(f"unknown estimator {entry['class']!r:.80}; known are {', '.join(sorted(_estimators))}")
    self = _estimators[entry["class"]](**entry["params"])
    for name, value in entry["learnt"].items():
        if not name.endswith("_") or name.startswith("_") or hasattr(type(self), name):
            raise ValueError(f"nothing that is learnt is named {name!r:.80}")
        setattr(self, name, value)
    return self


def same(value: Any, other: Any) -> bool:
    """Whether a parameter has its default, where arrays are different from everything else."""
    return value is other or (type(value) is type(other) and not isinstance(value, np.ndarray) and value == other)


def sklearn_or(name: str, own: type) -> type:
    """Our own exception or warning, which is scikit-learn's of this name too, where that is loaded."""
    theirs = getattr(sys.modules.get("sklearn.exceptions"), name, None)
    return own if theirs is None else type(name, (own, theirs), {"__module__": own.__module__})


def generator_of(random_state: Any) -> np.random.Generator:
    """A Generator from what scikit-learn calls a random state.

    Parameters
    ----------
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None

    Returns
    -------
    numpy.random.Generator
        A RandomState gives its seed, and is drawn from once.
    """
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    try:
        return _arrays.generator(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(f"random_state{str(error).removeprefix('rng')}") from None
