"""Keras on TensorFlow, and TensorFlow's own operator for one step."""

from __future__ import annotations

import numpy as np

from .base import Engine, array_of
from .own import CLIP_NORM, LEARNING_RATE

EPSILON = 1e-8  # of Adam: Keras has another default than everyone else
READ_AHEAD = 2  # batches


class Keras(Engine):
    """keras.layers.LSTM inside tf.function, and Model.fit."""

    packages = ("tensorflow", "keras")
    works = ("train", "forward", "step", "epoch")
    environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}  # noqa: RUF012
    dtypes = ("float32", "float64")
    xla = False

    def __init__(self, threads):
        import tensorflow as tf

        super().__init__(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)

    def version(self):
        import keras
        import tensorflow

        return f"{keras.__version__} (tensorflow {tensorflow.__version__})"

    def layers(self, row, weights):
        import keras

        keras.backend.clear_session()
        T, N, I, H, _, D = row.shape
        layers = []
        for number, directions in enumerate(weights):
            layer = keras.layers.LSTM(H, return_sequences=True, dtype=row.dtype)
            layer = layer if D == 1 else keras.layers.Bidirectional(layer, dtype=row.dtype)
            layer.build((N, T, I if number == 0 else D * H))
            layer.set_weights([values for direction in directions for values in keras_weights(direction)])
            layers.append(layer)
        return layers

    def function(self, layers):
        def run(x):
            for layer in layers:
                x = layer(x)
            return x

        return run

    def train(self, row, data):
        import tensorflow as tf

        layers = self.layers(row, data.weights)
        run = self.function(layers)
        x, dy = tf.constant(data.x.swapaxes(0, 1)), tf.constant(data.dy.swapaxes(0, 1))

        @tf.function(jit_compile=self.xla)
        def train(x, dy):
            weights = [variable.value for layer in layers for variable in layer.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = run(x)
            return y, tape.gradient(y, [x, *weights], output_gradients=dy)  # all of them: none may be pruned

        def arrays(result):
            y, (dx, dw_ih, dw_hh, db, *_) = result
            found = {"y": y.numpy().swapaxes(0, 1), "dx": dx.numpy().swapaxes(0, 1)}
            return found | {"dw_ih": dw_ih.numpy().T, "dw_hh": dw_hh.numpy().T, "db": db.numpy()}

        return (lambda: train(x, dy)), arrays

    def forward(self, row, data):
        import tensorflow as tf

        run = tf.function(self.function(self.layers(row, data.weights)), jit_compile=self.xla)
        x = tf.constant(data.x.swapaxes(0, 1))
        return (lambda: run(x)), array_of("y", lambda y: y.numpy().swapaxes(0, 1))

    def step(self, row, data):
        import keras
        import tensorflow as tf

        keras.backend.clear_session()
        cell = keras.layers.LSTMCell(row.shape.H)
        cell.build((1, row.shape.I))
        cell.set_weights(keras_weights(data.weights[0][0]))
        x, state = tf.constant(data.x[0]), (tf.zeros((1, row.shape.H)),) * 2
        traced = tf.function(lambda x, h, c: cell(x, [h, c])[1], jit_compile=self.xla)
        run = traced.get_concrete_function(*(tf.TensorSpec(v.shape) for v in (x, *state)))  # half the cost of a call

        def call():
            nonlocal state
            state = run(x, *state)
            return state[0]

        return call, array_of("h", lambda h: h.numpy())

    def epoch(self, row, data):
        import keras
        import tensorflow as tf

        N = row.shape.N
        lstms = self.layers(row, data.weights)
        embedding, dense = keras.layers.Embedding(*data.embedding.shape), keras.layers.Dense(len(data.dense))
        model = keras.Sequential([embedding, *lstms, dense])
        model.compile(
            keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON, global_clipnorm=CLIP_NORM),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=self.xla,
        )
        model.build((N, row.shape.T))
        embedding.set_weights([data.embedding])
        for layer, directions in zip(lstms, data.weights):
            layer.set_weights(keras_weights(directions[0]))
        dense.set_weights([data.dense.T, np.zeros(len(data.dense), np.float32)])
        batches = tf.data.Dataset.from_tensor_slices((data.x, data.y)).batch(N).prefetch(READ_AHEAD)

        def arrays(loss):
            return {"loss": loss, "loss_after": model.evaluate(data.x[:N], data.y[:N], batch_size=N, verbose=0)}

        return (lambda: model.fit(batches, epochs=1, shuffle=False, verbose=0).history["loss"][-1]), arrays


class KerasXLA(Keras):
    """The same compiled by XLA."""

    xla = True


class TFBlockCell(Keras):
    """tf.raw_ops.LSTMBlockCell, called eagerly: TensorFlow's fastest step. Its gates are i g f o."""

    works = ("step",)
    dtypes = ("float32",)

    def step(self, row, data):
        import tensorflow as tf

        H = row.shape.H
        w_ih, w_hh, b = (a.reshape(4, H, -1)[[0, 2, 1, 3]].reshape(a.shape) for a in data.weights[0][0])
        w, b, zero = tf.constant(np.vstack([w_ih.T, w_hh.T])), tf.constant(b), tf.zeros(H)
        x, h, c = tf.constant(data.x[0]), tf.zeros((1, H)), tf.zeros((1, H))
        fixed = {"w": w, "b": b, "wci": zero, "wcf": zero, "wco": zero, "forget_bias": 0.0, "cell_clip": -1.0}
        operator = tf.raw_ops.LSTMBlockCell

        def call():
            nonlocal h, c
            result = operator(x=x, cs_prev=c, h_prev=h, **fixed)
            h, c = result.h, result.cs
            return h

        return call, array_of("h", lambda h: h.numpy())


def keras_weights(weights):
    w_ih, w_hh, b = weights
    return [w_ih.T, w_hh.T, b]
