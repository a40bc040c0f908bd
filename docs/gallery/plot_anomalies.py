"""
Anomalies in New York's taxis
=============================

How many people take a taxi, half hour by half hour, for seven months? Mostly it is the same week again and again. On
five occasions it was not, and somebody has marked them: the marathon, Thanksgiving, Christmas, New Year, a snow storm.
Can a network find them, if nobody tells it what to look for?
"""

# %%
# The data
# --------
#
# The series is one of the Numenta Anomaly Benchmark: 10,320 half hours from 1 July 2014 on, and five windows of four
# days in which something happened. The windows are for judging at the end; nothing below learns from them.

import datasets
import matplotlib.pyplot as plt
import numpy as np

from clstm.estimators import LSTMAnomalyDetector
from clstm.estimators.anomaly import intervals

plt.rcParams["date.converter"] = "concise"
taxi = datasets.nyc_taxi()
names = ["marathon", "Thanksgiving", "Christmas", "New Year", "snow storm"]
DAY, WEEK = 48, 7 * 48


def shade(axes):
    """Draws the marked windows."""
    for first, last in taxi.windows:
        axes.axvspan(first, last, color="tab:orange", alpha=0.25, lw=0)


figure, (whole, part) = plt.subplots(2, 1, figsize=(9, 5), layout="constrained")
whole.plot(taxi.time, taxi.values, lw=0.4)
november = slice(139 * DAY, 160 * DAY)
part.plot(taxi.time[november], taxi.values[november], lw=0.8)
for axes in (whole, part):
    axes.set(ylabel="passengers per half hour", ylim=0)
    axes.margins(x=0)
    limits = axes.get_xlim()
    shade(axes)
    axes.set_xlim(limits)
_ = part.set_title("Three weeks around Thanksgiving", fontsize=10)

# %%
# The night of the marathon stands out, when clocks were also set back, and the storm, which emptied the streets. But the
# numbers of Thanksgiving are like those of any other day; they only come at the wrong time.
#
# Something simple
# ----------------
#
# Take the median of each half hour of the week, and call the values that are farthest from it alarms. How many? We have
# to say what share of the time is out of the ordinary; try 1 %.
#
# Alarms that are less than a day apart are one event. A window is found if an event overlaps it, and an event that
# overlaps none is a false alarm.

slot = np.arange(len(taxi.values)) % WEEK
median = np.array([np.median(taxi.values[slot == k]) for k in range(WEEK)])
away = np.abs(taxi.values - median[slot])


def beyond(score, share):
    """Where a score is among its largest, as a share of all."""
    return score > np.quantile(score, 1 - share)


def judged(alarms):
    """Which windows are found, and the times of all events that are false alarms."""
    events = taxi.time[intervals(alarms, gap=DAY)]
    first, last = taxi.windows.T
    hits = (events[:, None, 0] <= last) & (events[:, None, 1] >= first)
    return hits.any(axis=0), events[~hits.any(axis=1)]


found, false = judged(beyond(away, 0.01))
print(f"by week: {found.sum()} of 5 windows, {len(false)} false alarms")

# %%
# Five of five! This is hard to beat, and we will not. What can a network add? The median knows one week for all seasons,
# and it needs the right share. The network below judges each step by the day before it, as somebody would who watches
# live, and it goes along with a city that slowly changes.
#
# A network that expects
# ----------------------
#
# :class:`~clstm.estimators.LSTMAnomalyDetector` learns to foretell: it sees a day, and foretells each half hour of the
# next. The score of a half hour is how wrong the forecasts for it were, on average over all 48 that were made for it, the
# last just before and the first a day ahead. What lasts cannot hide then: at noon of a quiet holiday the next half hour
# is easy to tell, but yesterday nobody knew. Then scores are averaged over a day.
#
# What the clock says is no secret, so the network gets it as well: the time of day and the day of the week as waves.
# Holidays it is not told.

minutes = taxi.time.astype("datetime64[m]").astype(int)
day, week = minutes / 1440, (minutes / 1440 + 3) / 7  # the epoch began on a Thursday
turns = np.array([day, 2 * day, 3 * day, week, 2 * week]).T * 2 * np.pi
clock = np.concatenate([np.sin(turns), np.cos(turns)], axis=1)

# %%
# One number has to be guessed: the share of the time that is unusual. New York has ten public holidays a year, and a few
# storms and parades. We say about one day in thirty, 3 %.

detector = LSTMAnomalyDetector(window=DAY, contamination=0.03, random_state=0)
alarms = detector.fit_predict(taxi.values, exog=clock) == -1

found, false = judged(alarms)
print(f"LSTM: {found.sum()} of 5 windows, {len(false)} false alarms")
for first, last in false:
    print(f"      {first} to {last}")

# %%
# What it found
# -------------

score = -detector.score_samples(taxi.values, exog=clock)
# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
axes.plot(taxi.time, score, lw=0.8, label="score")
axes.axhline(detector.threshold_, color="tab:red", lw=1, label="threshold")
shade(axes)
for name, (first, last) in zip(names, taxi.windows, strict=True):
    inside = (taxi.time >= first) & (taxi.time <= last)
    axes.annotate(name, (first, score[inside].max()), ha="right", va="bottom", fontsize=9)
for first, last in false:
    inside = (taxi.time >= first) & (taxi.time <= last)
    axes.annotate(str(first)[:10], (first, score[inside].max()), ha="left", va="bottom", fontsize=9)
axes.set(ylabel="deviations", ylim=(0, None))
axes.margins(x=0, y=0.15)
_ = axes.legend(loc="upper center")

# %%
# The false alarms are no mistakes: the 4th of July and Labor Day are missing from the labels, not from the taxis.
#
# How much hangs on the guess? Fewer alarms miss windows, more of them find other holidays and a few odd Saturdays:

for share in (0.01, 0.02, 0.03, 0.04, 0.05):
    lines = [judged(beyond(values, share)) for values in (away, score)]
    by_week, lstm = [f"{found.sum()} found, {len(false)} false" for found, false in lines]
    print(f"{share:.0%} of the time:  by week {by_week};  LSTM {lstm}")

# %%
# Each is good within a range, the median at smaller shares. With 3 %, the LSTM finds 5 windows, with 2 false alarms, from
# each of three random starts (``bench/tasks.py``).
#
# Learning from the first five weeks alone
# ----------------------------------------
#
# Where anomalies matter, one learns from what is behind, and watches what comes. The benchmark itself gives its
# contestants the first 15 % to learn from. By then nobody has seen a Thanksgiving, a winter, or a change of clocks.

early = len(taxi.values) * 15 // 100
watcher = LSTMAnomalyDetector(window=DAY, contamination=0.03, random_state=0)
watcher.fit(taxi.values[:early], exog=clock[:early])
later = -watcher.score_samples(taxi.values, exog=clock)
later[:early] = 0

july = np.array([np.median(taxi.values[:early][slot[:early] == k]) for k in range(WEEK)])
away = np.abs(taxi.values - july[slot])
away[:early] = 0

for share in (0.01, 0.02, 0.03, 0.04):
    lines = [judged(beyond(values, share)) for values in (away, later)]
    by_week, lstm = [f"{found.sum()} found, {len(false)} false" for found, false in lines]
    print(f"{share:.0%} of the time:  by week {by_week};  LSTM {lstm}")

# %%
# Winter is not July, and the median of July takes more and more of it for anomalies; at 1 % of the time it is still the
# better one. The LSTM, which starts from yesterday, has no false alarm up to 3 %, and finds all five there (four or five
# from other random starts, with one false alarm at most).
#
# What to try next
# ----------------
#
# - ``method="autoencoder"`` judges a window by how well it can be put into one vector and taken out again. Here it does
#   about as well as the forecaster, in three times the time.
# - :doc:`plot_online` learns while it watches, event by event.
# - :doc:`/howto/anomalies` has the choices: windows, smoothing, several channels, missing values, thresholds.
