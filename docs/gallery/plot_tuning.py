"""
Letting the computer choose
===========================

How many units, which learning rate, how many epochs? Nobody knows before. ``clstm.tune`` tries, keeps what is promising, and
gives up the rest early. We let it search on handwritten digits, look at what it tried, and ask whether it was worth the time.
"""

# %%
# The task
# --------
#
# Images of 8 by 8 pixels, read row by row: eight steps of eight channels. The test part is put aside at once: it must not
# take part in the search. Of the rest we use only 300 images, so that there is something to gain, and the page is built soon.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

import clstm
from clstm.estimators import LSTMClassifier

x, y = load_digits(return_X_y=True)
x = x.reshape(-1, 8, 8)
x_train, x_test, y_train, y_test = train_test_split(
    x, y, train_size=300, stratify=y, random_state=0
)
figure, axes = plt.subplots(1, 8, figsize=(8, 1.3), layout="constrained")
for one, image in zip(axes, x_train, strict=False):
    one.imshow(image, cmap="gray_r")
    one.axis("off")

# %%
# A guess
# -------
#
# Someone who trains a network for the first time may begin with a small one, a learning rate that is said to be safe, and
# twenty epochs. Beside it stands a support vector machine, which sees all pixels at once:

guess = LSTMClassifier(
    hidden_size=8, learning_rate=1e-3, dropout=0.0, epochs=20, random_state=0
).fit(x_train, y_train)
machine = SVC().fit(x_train.reshape(-1, 64), y_train)
print(f"guess: {guess.score(x_test, y_test):.3f}")
print(f"support vector machine: {machine.score(x_test.reshape(-1, 64), y_test):.3f}")

# %%
# The search
# ----------
#
# Twenty trials, the first of them with the guess. Each is scored by cross-validation within the 300 images. Without ``space``
# it would look around the guess; here we say where, and it is wide.

space = {
    "hidden_size": [8, 16, 32, 64],
    "learning_rate": (1e-3, 1e-1, "log"),
    "dropout": (0.0, 0.6),
    "epochs": (10, 40),
}
found = clstm.tune(guess, x_train, y_train, budget=20, space=space, random_state=0, progress=False)
print(f"best in cross-validation: {found.best_score_:.3f} with")
for name, value in found.best_params_.items():
    print(f"    {name}: {value:.3g}")

# %%
# What it tried
# -------------
#
# Every dot is a trial. Crosses were given up on the way, so they have no score, but time saved.

trials = found.trials_
# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(1, 3, figsize=(8, 3), sharey=True, layout="constrained")
done = [t for t in trials if t["state"] == "complete"]
pruned = [t for t in trials if t["state"] == "pruned"]
low = min(t["score"] for t in done)
for one, name in zip(axes, ("learning_rate", "dropout", "epochs"), strict=True):
    sizes = [t["hidden_size"] for t in done]
    dots = one.scatter([t[name] for t in done], [t["score"] for t in done], c=sizes, cmap="cool")
    one.plot([t[name] for t in pruned], [low - 0.01] * len(pruned), "x", color="0.5")
    one.set_xlabel(name.replace("_", " "))
axes[0].set(xscale="log", ylabel="accuracy (cross-validation)")
_ = figure.colorbar(dots, label="hidden size", ticks=space["hidden_size"])

# %%
# Was it worth it?
# ----------------
#
# Only the test part can tell.

defaults = LSTMClassifier(random_state=0).fit(x_train, y_train)
several = LSTMClassifier(networks=5, random_state=0, **found.best_params_).fit(x_train, y_train)
models = {"guess": guess, "tuned": found.best_estimator_, "defaults of clstm": defaults}
models["tuned, five networks"] = several
for name, model in models.items():
    print(f"{name:22} {model.score(x_test, y_test):.3f}")
seconds = [sum(t["seconds"] for t in group) / max(1, len(group)) for group in (done, pruned)]
print(f"a complete trial took {seconds[0]:.1f} s, one that was given up {seconds[1]:.1f} s")

# %%
# The search found its way from a bad guess to where the defaults are; those have been tuned before, on other data, so there is
# little left to be gained here. On yours it may be otherwise. Five networks instead of one cost no thought, and bring
# more than the last digit of any parameter. And the support vector machine still wins on so few images: no order of rows has
# to be learnt by something that sees them all.
#
# What to try next
# ----------------
#
# - :doc:`/howto/tuning` has budgets in minutes, other splits and scores, and what happens without Optuna.
# - With all 1347 images of three quarters, the LSTM has 0.99: ``python -m bench tasks`` in the repository.
# - Tune ``pooling`` and ``bidirectional`` too.
