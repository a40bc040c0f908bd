"""A character model trained by clstm and by PyTorch with the same recipe, on one core each: time and loss side by side.

    python -m bench characters --text tinyshakespeare.txt

The first nine tenths of the text train two layers of LSTM, as parallel streams whose state is carried from piece to
piece; the rest is what the loss is told of, in nats per character, with the state carried over all of it. Both start
from the same weights and see the same pieces in the same order, so that their losses agree as far as rounding allows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

HIDDEN, LAYERS, DIM = 128, 2, 64
STREAMS, PIECE = 32, 64
RATE, WARMUP, CLIP = 4e-3, 0.05, 1.0
EPOCHS = 40


def symbols_of(path: str) -> tuple[np.ndarray, np.ndarray, int]:
    """The characters of the first nine tenths of a text as numbers, those of the rest, and the count of symbols."""
    text = Path(path).read_text(encoding="utf-8")
    known = {character: k for k, character in enumerate(sorted(set(text)))}
    numbers = np.array([known[character] for character in text], np.int64)
    cut = len(numbers) * 9 // 10
    return numbers[:cut], numbers[cut:], len(known)


def streams(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symbols side by side in parallel streams, and the symbol after each."""
    steps = (len(numbers) - 1) // STREAMS
    x, y = (numbers[first : first + STREAMS * steps].reshape(STREAMS, steps) for first in (0, 1))
    return x, y


def steps_of(x: np.ndarray, epochs: int) -> int:
    """Of the optimiser, in all epochs."""
    return epochs * math.ceil(x.shape[1] / PIECE)


def factor(step: int, steps: int) -> float:
    """Of the learning rate: a linear rise, then half a cosine."""
    rise = max(1, round(WARMUP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / (steps - rise))


def network(count: int):
    """The network of clstm, whose weights the other one takes."""
    import clstm

    return clstm.Network(
        [
            clstm.Embedding(count, DIM, rng=0),
            clstm.LSTM(DIM, HIDDEN, num_layers=LAYERS, rng=1),
            clstm.Dense(HIDDEN, count, rng=2),
        ]
    )


def with_clstm(path: str, epochs: int) -> dict[str, float]:
    """Trains with clstm."""
    import clstm

    clstm.set_num_threads(1)
    train, rest, count = symbols_of(path)
    (x, y), net = streams(train), network(count)
    steps = steps_of(x, epochs)
    trainer = clstm.Trainer(
        net,
        "cross_entropy",
        clstm.Adam(RATE),
        schedule=lambda step: factor(step, steps),
        clip_norm=CLIP,
        bptt=PIECE,
        rng=0,
    )
    started = perf_counter()
    trainer.fit(x, y, epochs=epochs, batch_size=STREAMS, shuffle=False, progress=False)
    seconds = perf_counter() - started
    return {"seconds": seconds, "loss": trainer.evaluate(rest[np.newaxis, :-1], rest[np.newaxis, 1:]), "steps": steps}


def with_torch(path: str, epochs: int) -> dict[str, float]:
    """Trains with PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    train, rest, count = symbols_of(path)
    x, y = (torch.from_numpy(array.copy()) for array in streams(train))
    steps = steps_of(x, epochs)
    embedding, lstm = nn.Embedding(count, DIM), nn.LSTM(DIM, HIDDEN, LAYERS, batch_first=True)
    dense = nn.Linear(HIDDEN, count)
    parameters = take_weights(network(count), embedding, lstm, dense)
    optimizer = torch.optim.Adam(parameters, RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step, steps))
    started = perf_counter()
    for _ in range(epochs):
        state = None
        for begin in range(0, x.shape[1], PIECE):
            h, state = lstm(embedding(x[:, begin : begin + PIECE]), state)
            loss = nn.functional.cross_entropy(dense(h).flatten(0, 1), y[:, begin : begin + PIECE].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            schedule.step()
            state = tuple(member.detach() for member in state)
    seconds = perf_counter() - started
    with torch.no_grad():
        held_out = torch.from_numpy(rest)[None]
        scores = dense(lstm(embedding(held_out[:, :-1]))[0])
        loss = nn.functional.cross_entropy(scores[0], held_out[0, 1:]).item()
    return {"seconds": seconds, "loss": loss, "steps": steps}


def take_weights(net, embedding, lstm, dense):
    """Copies the weights of a network of clstm; returns the parameters to train. (One of the two biases stays zero.)"""
    import torch

    values = {name: torch.from_numpy(array.copy()) for name, array in net.parameters().items()}
    with torch.no_grad():
        embedding.weight.copy_(values["0.weight"])
        dense.weight.copy_(values["2.weight"])
        dense.bias.copy_(values["2.bias"])
        for k in range(LAYERS):
            getattr(lstm, f"weight_ih_l{k}").copy_(values[f"1.weight_ih_l{k}"])
            getattr(lstm, f"weight_hh_l{k}").copy_(values[f"1.weight_hh_l{k}"])
            getattr(lstm, f"bias_ih_l{k}").copy_(values[f"1.bias_l{k}"])
            getattr(lstm, f"bias_hh_l{k}").zero_().requires_grad_(False)
    modules = (embedding, lstm, dense)
    return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]


ENGINES = {"clstm": with_clstm, "torch": with_torch}


def main(arguments: list[str]) -> int:
    """The command: each engine in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(prog="bench characters", description=__doc__.split("\n\n")[0])
    parser.add_argument("--text", required=True, metavar="FILE", help="a text in UTF-8, such as tinyshakespeare")
    parser.add_argument("--engines", default="clstm,torch", help="default: clstm,torch")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default: {EPOCHS}")
    parser.add_argument("--alone", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if not Path(args.text).is_file():
        parser.error(f"--text: {args.text} is no file")
    if args.alone:
        print(json.dumps(ENGINES[args.alone](args.text, args.epochs)))
        return 0
    found = {name: measured(name, args) for name in args.engines.split(",")}
    print(f"\n{LAYERS} x {HIDDEN} LSTM, {STREAMS} streams in pieces of {PIECE}, {args.epochs} epochs, one core")
    for name, result in found.items():
        print(
            f"{name:6} {result['seconds']:7.1f} s  {result['loss']:.4f} nats per character on the last tenth  "
            f"({result['steps']} steps of {1e3 * result['seconds'] / result['steps']:.2f} ms)"
        )
    if {"clstm", "torch"} <= found.keys():
        print(f"PyTorch takes {found['torch']['seconds'] / found['clstm']['seconds']:.2f} times as long")
    return 0


def measured(name: str, args: argparse.Namespace) -> dict[str, float]:
    """What one engine gives, in a process of one core and one thread."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench", "characters", "--alone", name, "--text", args.text]
    pinned = ["taskset", "-c", "0"] if sys.platform == "linux" else []
    done = subprocess.run(
        [*pinned, *command, "--epochs", str(args.epochs)], env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])
