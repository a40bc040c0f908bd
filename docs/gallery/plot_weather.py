"""
Tomorrow's temperature, and the days behind it
==============================================

Four years of Seattle's weather: how warm will it be tomorrow, and for how many days ahead is a forecast better than the
calendar? The forecaster gets several columns here, in both of the ways in which it can: as inputs that are known, and
as channels that are forecast together.
"""

import datasets
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.dates import DateFormatter

from clstm.estimators import LSTMForecaster

weather = datasets.seattle_weather()
warmest, others = weather.values[:, 1], weather.values[:, [2, 3]]
start = len(warmest) - 365  # the last year is held out

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.plot(weather.time, warmest, lw=0.8, color="tab:blue")
ax.axvspan(weather.time[start], weather.time[-1], color="0.9", label="held out")
ax.set(xlabel="year", ylabel="highest temperature (°C)", title="Seattle, day by day")
ax.legend(loc="upper left")

# %%
# One day ahead
# -------------
#
# Wind and lowest temperature of tomorrow are unknown, but those of *today* are known when tomorrow is forecast. So the
# columns are shifted by a day, and given as exogenous inputs: numbers that are known in advance. (Rain was tried too,
# with the year 2014 held out; it did more harm than good there, and is left out.)

yesterday = np.concatenate([others[:1], others[:-1]])
options = {"season": 365.25, "quantiles": (0.1, 0.9), "networks": 3, "random_state": 0}
alone = LSTMForecaster(**options).fit(warmest[:start])
both = LSTMForecaster(**options).fit(warmest[:start], yesterday[:start])

guesses = {
    "as warm as the day before": warmest[start - 1 : -1],
    "LSTMForecaster, its own past": alone.rolling(warmest)[:, 0],
    "LSTMForecaster, and yesterday's weather": both.rolling(warmest, exog=yesterday)[:, 0],
}

# %%
# The honest opponent is a straight line from the last 14 days, by least squares.

rows = np.lib.stride_tricks.sliding_window_view(warmest, 14)[:-1]
rows = np.column_stack([np.ones(len(rows)), rows])
weights = np.linalg.lstsq(rows[: start - 14], warmest[14:start], rcond=None)[0]
guesses["a straight line from 14 days"] = rows[start - 14 :] @ weights


def rmse(guess, truth):
    """Root mean square error."""
    return np.sqrt(np.mean((guess - truth) ** 2))


print("RMSE of 365 days, in °C")
for name, guess in guesses.items():
    print(f"  {name:40} {rmse(guess, warmest[start:]):.2f}")

# %%
# All that know more than one day are close together. The networks see what a straight line sees, and the other columns,
# which helped a little in 2014, do not help in 2015: a difference of 0.02 degrees is chance. More would have to come
# from a weather map, which a thermometer is not.

low, high = both.rolling_quantiles(warmest, exog=yesterday)[:, 0].T
inside = np.mean((low <= warmest[start:]) & (warmest[start:] <= high))
summer = slice(start + 120, start + 240)
shown = slice(120, 240)
# sphinx_gallery_thumbnail_number = 2
fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
ax.fill_between(
    weather.time[summer],
    low[shown],
    high[shown],
    color="tab:red",
    alpha=0.2,
    lw=0,
    label="80 % band",
)
ax.plot(
    weather.time[summer],
    guesses["LSTMForecaster, and yesterday's weather"][shown],
    color="tab:red",
    label="forecast",
)
ax.plot(weather.time[summer], warmest[summer], ".", color="0.2", label="measured")
ax.set(xlabel="day of 2015", ylabel="highest temperature (°C)")
ax.set_title(f"The band holds {100 * inside:.0f} % of the year's days")
ax.xaxis.set_major_formatter(DateFormatter("%d %b"))
ax.legend(loc="upper left", ncols=3, fontsize="small")

# %%
# How far ahead?
# --------------
#
# Now both temperatures are channels of one series, and the horizon is ten days. `rolling` gives ten forecasts for each
# day of the year. They are compared with the season alone, which knows the day of the year and nothing else.

temperatures = weather.values[:, 1:3]
model = LSTMForecaster(horizon=10, season=365.25, networks=3, random_state=0).fit(
    temperatures[:start]
)
forecast = model.rolling(temperatures)[:, :, 0]
days_ahead = np.arange(1, 11)
truth = np.lib.stride_tricks.sliding_window_view(warmest[start:], 10)

t = 2 * np.pi * np.arange(len(warmest)) / 365.25
waves = np.column_stack([np.ones(len(t)), np.cos(t), np.sin(t), np.cos(2 * t), np.sin(2 * t)])
calendar = waves @ np.linalg.lstsq(waves[:start], warmest[:start], rcond=None)[0]
calendar_ahead = np.lib.stride_tricks.sliding_window_view(calendar[start:], 10)
last_ahead = np.broadcast_to(warmest[start - 1 : -10, None], truth.shape)

fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
for name, guess, style in (
    ("the last value", last_ahead, {"color": "0.5", "ls": ":"}),
    ("the season alone", calendar_ahead, {"color": "tab:green", "ls": "--"}),
    ("LSTMForecaster", forecast, {"color": "tab:red"}),
):
    ax.plot(
        days_ahead, np.sqrt(np.mean((guess - truth) ** 2, axis=0)), marker="o", label=name, **style
    )
ax.set(
    xlabel="days ahead",
    ylabel="RMSE (°C)",
    xticks=days_ahead,
    title="After four days, little is left but the season",
)
ax.set_ylim(bottom=0)
ax.legend()

# %%
# This is how a forecast should age: near, it knows more than the calendar; far, it becomes the calendar. Repeating the
# last value, which is hard to beat for a day, is the worst of all after two.
#
# What to try next
# ----------------
#
# - ``strategy="direct"``: all ten days at once. With 2014 held out it was worse here; on the airline passengers it was
#   better.
# - All four columns as channels; or the forecast of a weather service as an exogenous input.
# - ``model.update(new_rows)`` each evening, ``model.predict()`` each morning; ``partial_fit`` to learn along the way.
