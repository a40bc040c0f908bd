"""Options of recurrent layers: their defaults, their checks, the sizes that follow from them, and what a kind of layer
does not have."""


def defaults_of(cls):
    """The options of a class and their defaults."""
    usual = cls.__init__.__kwdefaults__
    return {name: usual[name] for name in cls._kind.options if name in usual}


def checked_options(cls, options):
    """The options of a cell, each checked."""
    kind = cls._kind
    if cls.axes == "step":
        options = {**OF_SEQUENCES, **options}
    for name in options:
        if name not in kind.options:
            raise TypeError(f"{cls.__name__} got an unexpected option {name!r}")
    return {name: check(name, options[name]) for name, check in kind.options.items()}


# Options that mean nothing for one step, and their values
OF_SEQUENCES = {"dropout": 0.0, "go_backwards": False, "merge": "concat", "output": "h"}


def places_of(num_layers, bidirectional):
    """The suffixes of the parameters of each layer and direction; one by one, since a file may claim any number."""
    for k in range(num_layers):
        yield f"_l{k}"
        if bidirectional:
            yield f"_l{k}_reverse"


def width_of(R, bidirectional, options):
    """What a layer gives at each step."""
    return 2 * R if bidirectional and options["merge"] == "concat" else R


def size_of_h(hidden_size, options):
    """The elements of h: those of the projection if there is one."""
    return options.get("proj_size") or hidden_size


def refuse(cls, options):
    """Raises for options that the kind of a layer does not have, by the name of both."""
    for name, value in options.items():
        if name in LSTM_ONLY:
            raise ValueError(f"{name}: expected a layer that has it, an LSTM, got {name}={value!r} for {cls.__name__}")
        raise TypeError(f"{cls.__name__} got an unexpected argument {name!r}")


LSTM_ONLY = (
    "peephole",
    "coupled",
    "forget_gate",
    "proj_size",
    "layer_norm",
    "cell_clip",
    "output_activation",
    "zoneout_c",
)
