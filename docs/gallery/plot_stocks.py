"""
Why stock prices are hard
=========================

"LSTM predicts stock prices" is a popular tutorial, and its last picture always looks wonderful. This page draws the
same picture for prices that *nobody* can predict, because they are thrown by dice, then shows how such a picture comes
about, and how to test so that it cannot deceive.

The prices are geometric random walks: every day the price changes by a random factor that has nothing to do with the
past. The best forecast of tomorrow is known for them: today's price (with a tiny drift). Whatever seems better is a
mistake.
"""

import datasets
import matplotlib.pyplot as plt
import numpy as np

from clstm.estimators import LSTMForecaster

rng = np.random.default_rng(1)
DAYS, START = 1500, 1000  # START: the first day that is forecast
walks = 100 * np.exp(np.cumsum(0.0003 + 0.015 * rng.standard_normal((8, DAYS)), axis=1))

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.plot(walks.T, lw=0.8)
ax.axvspan(START, DAYS, color="0.9")
_ = ax.set(xlabel="day", ylabel="price", title="Eight stocks, or rather: eight random walks")

# %%
# The wonderful picture
# ---------------------
#
# The recipe of the popular tutorial: the network sees the last prices, as they are, and says the next one. (The
# forecaster would rather look at the changes of their logarithms. It is told not to.)

price = walks[0]
naive = LSTMForecaster(season=0, log=False, difference=False, networks=2, random_state=0).fit(
    price[:START]
)
forecast = naive.rolling(price)[:, 0]
truth, before = price[START:], price[START - 1 : -1]
r2 = 1 - np.sum((truth - forecast) ** 2) / np.sum((truth - truth.mean()) ** 2)

# sphinx_gallery_thumbnail_number = 2
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
left.plot(truth, color="0.3", label="price")
left.plot(forecast, color="tab:red", lw=1, label="forecast one day before")
left.set(xlabel="day of the test", ylabel="price", title=f"500 days: R² = {r2:.3f}")
left.legend()
right.plot(np.arange(60), truth[:60], color="0.3", marker=".")
right.plot(np.arange(60), forecast[:60], color="tab:red", marker=".")
_ = right.set(xlabel="day of the test", title="The first 60: the forecast comes a day late")

# %%
# An R² that anyone would be proud of, on dice. The right half shows why: the red line is the grey one, moved by a day.
# The network has learnt to repeat the last price, and the last price is close to the next one. R² compares with the
# mean of the test days, which nobody would have guessed. Three numbers tell the truth:


def rmse(guess, truth):
    """Root mean square error."""
    return np.sqrt(np.mean((guess - truth) ** 2))


print(f"RMSE of the network        {rmse(forecast, truth):.2f}")
print(f"RMSE of repeating          {rmse(before, truth):.2f}")
print(f"skill, 1 - MSE / MSE of repeating: {naive.score(price[START:]):+.3f}")
moves = np.corrcoef(forecast - before, truth - before)[0, 1]
print(f"correlation of the change foretold with the change that came: {moves:+.2f}")

# %%
# `score` of a forecaster is this skill: 0 is as good as repeating the last value, below 0 is worse.
#
# Walking forward
# ---------------
#
# Is another network better, with the right preparation, learning anew as time goes on? One walk is one sample, so all
# eight are tested. Each is learnt at day 1000 and again at day 1250, always from the past alone, and each day behind
# is forecast.

print("stock   skill   direction right")
skills, hits = [], []
for number, price in enumerate(walks):
    parts = []
    for known in (START, START + 250):
        model = LSTMForecaster(season=0, log=True, networks=1, random_state=0).fit(price[:known])
        parts.append(model.rolling(price[: known + 250])[:, 0])
    forecast, truth, before = np.concatenate(parts), price[START:], price[START - 1 : -1]
    skills.append(1 - rmse(forecast, truth) ** 2 / rmse(before, truth) ** 2)
    hits.append(np.mean((forecast > before) == (truth > before)))
    print(f"{number:>5} {skills[-1]:>+7.3f} {hits[-1]:>17.1%}")
print(f" mean {np.mean(skills):>+7.3f} {np.mean(hits):>17.1%}")

# %%
# Nothing, as it must be: what a network finds in dice is chance, and costs it a little. If eight real stocks gave such
# a table, that would be no failure of the network. It would be the answer.
#
# A glimpse of the future
# -----------------------
#
# Many results that look better have looked ahead. Often it is one innocent line *before* the data are split: the
# series is scaled by its own minimum and maximum, or smoothed to "remove the noise". Here are both, on dice.
#
# Scaled by the whole series, a price of 0.9 is close to the highest there will ever be. So it will fall. No network is
# needed to see that; 400 more walks are.

many = np.exp(np.cumsum(0.015 * rng.standard_normal((400, DAYS)), axis=1))
later = np.log(many[:, 60:] / many[:, :-60])[:, START - 60 :]  # what the next 60 days bring
now = many[:, START - 60 : -60]


def position(low, high):
    """Where the price of each test day lies between a lowest and a highest one: 0 to 1."""
    return (now - low) / (high - low)


whole = position(many.min(axis=1, keepdims=True), many.max(axis=1, keepdims=True))
lowest, highest = np.minimum.accumulate(many, axis=1), np.maximum.accumulate(many, axis=1)
past = position(lowest[:, START - 60 : -60], highest[:, START - 60 : -60])

fig, ax = plt.subplots(figsize=(8, 3.3), layout="constrained")
edges = np.linspace(0, 1, 11)
for name, where, color in (("the whole series", whole, "tab:red"), ("the past", past, "tab:blue")):
    bins = np.digitize(where, edges[1:-1])
    means = [100 * later[bins == k].mean() for k in range(10)]
    ax.plot((edges[1:] + edges[:-1]) / 2, means, marker="o", color=color, label=f"scaled by {name}")
ax.axhline(0, color="0.3", lw=0.8)
ax.set(
    xlabel="scaled price",
    ylabel="change in the 60 days after (%)",
    title="Scaling that knows the future foretells it",
)
ax.legend()

# %%
# The blue line is the truth: nothing. The red one is a trading system that made a fortune in a notebook.
#
# A centred moving average does the same to a network. Its value of today contains the prices of the next two days:

price = walks[0]
smooth = np.convolve(np.pad(np.log(price), 2, mode="edge"), np.ones(5) / 5, mode="valid")
leaking = np.diff(smooth, prepend=smooth[0])  # of day t, from the prices up to day t + 2
peeking = LSTMForecaster(season=0, log=True, networks=1, random_state=0).fit(
    price[:START], leaking[:START]
)
print(f"skill with a 'denoised' input: {peeking.score(price[START:], leaking[START:]):+.2f}")

# %%
# `LSTMForecaster` learns its scales, seasons and choices in `fit`, from what `fit` is given. That much it can do. What
# is done to the data before is out of its sight.
#
# A series that can be forecast
# -----------------------------
#
# The same forecaster, the same test, on the yearly numbers of sunspots. Their cycle of about eleven years is no clock,
# but it is no dice either.

sunspots = datasets.sunspots()
model = LSTMForecaster(networks=5, random_state=0).fit(sunspots.values[:-50])
forecast = model.rolling(sunspots.values)[:, 0]
truth, before = sunspots.values[-50:], sunspots.values[-51:-1]
print(f"RMSE of repeating {rmse(before, truth):.1f}, of the network {rmse(forecast, truth):.1f}")
print(f"(an autoregression of order 9: 16.9)   skill {model.score(truth):+.2f}")

fig, ax = plt.subplots(figsize=(8, 3.3), layout="constrained")
ax.plot(sunspots.time[-50:], truth, color="0.3", label="sunspots")
ax.plot(sunspots.time[-50:], forecast, color="tab:red", label="forecast a year before")
ax.plot(sunspots.time[-50:], before, ":", color="0.6", label="the last value")
ax.set(xlabel="year", ylabel="sunspot number", title="A cycle, not dice")
ax.legend(fontsize="small")

# %%
# What to take along
# ------------------
#
# - Draw the last value beside every forecast, and report the skill against it.
# - Test on more than one series, walking forward, and learn everything from the past: scales and smoothing too.
# - Ask what the input of day t would have looked like on day t.
# - Prices are close to random walks because whoever finds a pattern trades it away. Volatility, volumes and
#   electricity demand are not: try those.
