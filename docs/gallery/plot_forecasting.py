"""
Forecasting passengers and carbon dioxide
=========================================

Two series, two questions. How many passengers fly in each of the next 24 months, if nothing behind today is known? And
what will the carbon dioxide over Hawaii be next week, asked anew each week?

A network alone answers neither well: a few hundred numbers with a trend, a season and a growing spread are little to
learn from. `LSTMForecaster` therefore takes out what simple means can take out, and lets networks learn what is left.
This page does both, and says each time what the network added.
"""

import datasets
import matplotlib.pyplot as plt
import numpy as np

from clstm.estimators import LSTMForecaster

airline = datasets.airline()
passengers = airline.values

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.plot(airline.time, passengers, color="tab:blue")
ax.axvspan(airline.time[120], airline.time[-1], color="0.9", label="held out")
ax.set(
    xlabel="year",
    ylabel="passengers (thousands a month)",
    title="A trend, a season, and swings that grow",
)
ax.legend(loc="upper left")

# %%
# The forecaster
# --------------
#
# It gets the first ten years. `quantiles` asks for a band: between the first and the last of them, four months in five
# should lie. It comes from networks that have not seen the last quarter of these ten years.

model = LSTMForecaster(horizon=24, quantiles=(0.1, 0.9), random_state=0)
model.fit(passengers[:120])
forecast = model.predict()
low, high = model.predict_quantiles().T

plan = model.preparation_.parts[0].plan
print(f"power {plan.power} (0 is the logarithm), changes: {plan.difference}")
print(f"a season of {plan.period:.0f} steps")

# %%
# Nobody told it about years and logarithms: it found them in the data.
#
# Is it good? A forecast is only as good as what a simpler one misses. The same networks are in the last line but one,
# and their preparation alone, with the mean where the networks would speak, in the line above.

truth = passengers[120:]
silent = model.preparation_.paths(
    np.zeros((1, 24, 1)), model.rest_[-1:], np.array([120]), at_once=False
)
guesses = {
    "the last value again and again": np.full(24, passengers[119]),
    "the same month of the last year": np.tile(passengers[108:120], 2),
    "preparation alone": model.preparation_.values(silent)[0, :, 0],
    "LSTMForecaster": forecast,
}


def rmse(guess, truth):
    """Root mean square error, where the truth is known."""
    return np.sqrt(np.nanmean((guess - truth) ** 2))


print("RMSE over 24 months, in thousands of passengers")
for name, guess in guesses.items():
    print(f"  {name:32} {rmse(guess, truth):6.1f}")
print(f"  {'Holt-Winters (statsmodels)':32} {13.9:6.1f}")

# %%
# Exponential smoothing by Holt and Winters, a method of 1960 with three numbers to fit, is better still: its model of
# the world, a trend times a season, happens to be just what this series is. The networks had to find that out. They
# beat their own preparation clearly, and what most people would have guessed by far.

# sphinx_gallery_thumbnail_number = 2
fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
ax.plot(airline.time[84:], passengers[84:], color="0.3", label="passengers")
ax.plot(
    airline.time[120:],
    guesses["the same month of the last year"],
    ":",
    color="0.5",
    label="last year's month",
)
ax.plot(airline.time[120:], forecast, color="tab:red", label="forecast of December 1958")
ax.fill_between(airline.time[120:], low, high, color="tab:red", alpha=0.2, lw=0, label="80 % band")
inside = np.sum((low <= truth) & (truth <= high))
ax.set(
    xlabel="year",
    ylabel="passengers (thousands a month)",
    title=f"{inside} of 24 months are inside the band",
)
ax.legend(loc="upper left", fontsize="small")

# %%
# A band for four months in five that holds all of them is wider than it need be. It was measured on the last quarter of the
# ten years, by networks that had learnt from the others, and those were worse than the ones that know all ten.
#
# One week ahead
# --------------
#
# The readings of Mauna Loa are the other kind of task: 2284 weeks, 59 of them missing, and each week the next one is
# asked for. Missing values are an error unless a policy is named; here they are interpolated, and where a gap reaches
# up to the week that is forecast, the last value is carried on, so that nothing of the future is seen.
#
# `rolling` forecasts from each week in turn, without learning anew.

carbon = datasets.co2()
co2 = carbon.values
start = len(co2) - 104
model = LSTMForecaster(horizon=1, impute="linear", networks=2, random_state=0).fit(co2[:start])
forecast = model.rolling(co2)[:, 0]

# %%
# Besides repetition, one opponent has to be beaten: a straight line. Least squares on the same preparation, each week's
# change from the 14 before it.

preparation, order = model.preparation_, 14
rest = preparation.filled(preparation.rest(co2[:, None], 0), "forward")
changes = preparation.inputs(rest)[:, 0]
rows = np.lib.stride_tricks.sliding_window_view(changes, order)[:-1]
known = start - 1 - order
weights = np.linalg.lstsq(rows[:known], changes[order:][:known], rcond=None)[0]
origins = np.arange(start, len(co2))
line = preparation.paths(
    (rows[known:] @ weights)[:, None, None], rest[origins - 1], origins, at_once=False
)

truth = co2[start:]
print("RMSE of 104 weeks, in ppm")
print(f"  the week before                  {rmse(co2[start - 1 : -1], truth):.3f}")
print(f"  the same week of the last year   {rmse(co2[start - 52 : -52], truth):.3f}")
print(f"  preparation and a straight line  {rmse(preparation.values(line)[:, 0, 0], truth):.3f}")
print(f"  LSTMForecaster                   {rmse(forecast, truth):.3f}")

# %%
# Here the straight line is as good as the network, or a little better: what is left of this series, once its season is
# out, is noise with a short memory, and there is nothing in it for a network to find. That is worth knowing before one
# trains a larger one. The step that counted was the preparation.

fig, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 4.5), sharex=True, height_ratios=[2, 1], layout="constrained"
)
top.plot(carbon.time[start:], truth, ".", color="0.3", label="measured")
top.plot(carbon.time[start:], forecast, color="tab:red", label="forecast a week before")
top.set(ylabel="CO$_2$ (ppm)", title="Mauna Loa, 2000 and 2001")
top.legend()
bottom.plot(
    carbon.time[start:], truth - co2[start - 1 : -1], color="0.6", label="error of the week before"
)
bottom.plot(carbon.time[start:], truth - forecast, color="tab:red", label="error of the forecast")
bottom.axhline(0, color="0.3", lw=0.8)
bottom.set(xlabel="month", ylabel="ppm")
bottom.set_ylim(-1, 1.6)
bottom.legend(fontsize="small", ncols=2, loc="upper left")

# %%
# What to try next
# ----------------
#
# - ``strategy="direct"``: the networks say all 24 months at once, and learn the band by the pinball loss.
# - ``GridSearchCV(LSTMForecaster(...), {"window": [12, 24]}, cv=TimeSeriesSplit())`` chooses by the past alone.
# - :doc:`plot_weather` gives the forecaster more than one column; :doc:`plot_stocks` shows what it cannot do.
