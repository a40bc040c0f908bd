"""Groups of parameters: which of them learn faster, slower or not at all, and which are not decayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _arrays
from .hyperparameters import Number

if TYPE_CHECKING:
    from collections.abc import Iterable


class Factor(Number):
    """A number of at least 0, checked for an object whose attributes are set once."""

    def __init__(self, name: str) -> None:
        super().__init__("at least 0", lambda value: value >= 0)
        self.name = name


class Group:
    """Parameters whose learning rate and weight decay differ from those of the others.

    Parameters
    ----------
    match : str
        A pattern for names of parameters, as those of files in a shell: ``*`` is any text, ``?`` any letter, ``[01]``
        one of these. "0.*" is all of the first layer of a network, "*bias*" all biases.
    rate : float, default 1.0
        Factor of the learning rate, at least 0. With 0 the parameters are frozen: they keep their bits.
    decay : float, default 1.0
        Factor of the weight decay, at least 0.

    Notes
    -----
    Of several groups that match a parameter, the first counts; a parameter that none matches has the factors 1.

    Examples
    --------
    Keep an embedding as it is, and let the rest learn:

    >>> import clstm
    >>> from clstm.optimizers import Group
    >>> net = clstm.Network([clstm.Embedding(10, 4, rng=0), clstm.LSTM(4, 8, rng=1), clstm.Dense(8, 10, rng=2)])
    >>> list(net.parameters())
    ['0.weight', '1.weight_ih_l0', '1.weight_hh_l0', '1.bias_l0', '2.weight', '2.bias']
    >>> optimizer = clstm.Adam(groups=[Group("0.*", rate=0)])
    >>> optimizer
    Adam(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.0, groups=(Group('0.*', rate=0.0),))
    """

    __slots__ = ("decay", "match", "rate")

    match: str
    rate: float
    decay: float

    def __init__(self, match: str, *, rate: float = 1.0, decay: float = 1.0) -> None:
        if not isinstance(match, str):
            raise _arrays.wrong(TypeError, "match", "a pattern, as text", f"{match!r} ({_arrays.kind(match)})")
        object.__setattr__(self, "match", match)
        object.__setattr__(self, "rate", Factor("rate").checked(rate))
        object.__setattr__(self, "decay", Factor("decay").checked(decay))

    def __setattr__(self, name, value):
        raise AttributeError(f"a Group does not change, so that {name} cannot be set; make another one")

    def config(self) -> dict[str, Any]:
        """The arguments that make an equal group."""
        return {"match": self.match, "rate": self.rate, "decay": self.decay}

    def __reduce__(self):
        return remake, (self.match, self.rate, self.decay)

    def __eq__(self, other):
        return self.config() == other.config() if isinstance(other, Group) else NotImplemented

    def __hash__(self):
        return hash((self.match, self.rate, self.decay))

    def __repr__(self):
        factors = "".join(f", {name}={value}" for name in ("rate", "decay") if (value := getattr(self, name)) != 1)
        return f"Group({self.match!r}{factors})"


def remake(match, rate, decay):
    """For pickle, which hands over arguments without names."""
    return Group(match, rate=rate, decay=decay)


class Span(NamedTuple):
    """Neighbouring elements of the flat buffer, with the factors of their learning rate and of their weight decay."""

    start: int
    stop: int
    rate: float
    decay: float


def checked_groups(groups: Any) -> tuple[Group, ...]:
    """Groups as a tuple."""
    expected = "a sequence of clstm.optimizers.Group"
    if isinstance(groups, (Group, str)) or not hasattr(groups, "__iter__"):
        raise _arrays.wrong(TypeError, "groups", expected, f"{groups!r} ({_arrays.kind(groups)})")
    found = tuple(groups)
    for k, group in enumerate(found):
        if not isinstance(group, Group):
            raise _arrays.wrong(
                TypeError, f"groups[{k}]", "a clstm.optimizers.Group", f"{group!r} ({_arrays.kind(group)})"
            )
    return found


def spans_of(shapes: dict[str, tuple[int, ...]], groups: tuple[Group, ...], decay_biases: bool) -> list[Span]:
    """The spans of parameters that follow each other in a flat buffer; neighbours with the same factors are one."""
    for group in groups:
        if not any(matches(name, group) for name in shapes):
            known = ", ".join(shapes) or "none"
            raise _arrays.wrong(
                ValueError, "groups", f"patterns that match a parameter (there are {known})", f"{group.match!r}"
            )
    spans: list[Span] = []
    for name, place, shape in _arrays.places(shapes):
        rate, decay = factors_of(name, groups)
        if len(shape) == 1 and not decay_biases:
            decay = 0.0
        if place.start == place.stop:
            continue
        if spans and spans[-1][2:] == (rate, decay):
            spans[-1] = spans[-1]._replace(stop=place.stop)
        else:
            spans.append(Span(place.start, place.stop, rate, decay))
    return spans


def matches(name: str, group: Group) -> bool:
    """Whether a parameter belongs to a group."""
    from fnmatch import fnmatchcase  # few optimisers have groups

    return fnmatchcase(name, group.match)


def factors_of(name: str, groups: Iterable[Group]) -> tuple[float, float]:
    """Of the first group that matches."""
    for group in groups:
        if matches(name, group):
            return group.rate, group.decay
    return 1.0, 1.0
