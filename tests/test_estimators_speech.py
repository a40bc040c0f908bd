"""Speech: MFCC against a slow twin and against the data set, frames against twins, and the recogniser on tones."""

import copy
import pickle
import re

import datasets
import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal

import clstm
from clstm.estimators import NotFittedError, SpeechRecognizer, load
from clstm.estimators.frames import Augmentation, stacked, stretched, warp_matrix, with_deltas
from clstm.estimators.front_end import FAMILIAR, FrontEnd, Voice
from clstm.estimators.hearing import agreed, log_probability, surest
from clstm.metrics import edit_distance
from clstm.speech import mfcc, read_wav, trim

# MFCC


def slow_mfcc(signal, rate, count=13, window=0.025, hop=0.01, filters=26, emphasis=0.97):
    """The definition, with a loop for each sum."""
    emphasised = [signal[0]] + [signal[t] - emphasis * signal[t - 1] for t in range(1, len(signal))]
    frame, step = round(window * rate), round(hop * rate)
    n = 1
    while n < frame:
        n *= 2
    hamming = [0.54 - 0.46 * np.cos(2 * np.pi * t / (frame - 1)) for t in range(frame)]
    turns = np.exp(-2j * np.pi * np.outer(np.arange(n // 2 + 1), np.arange(frame)) / n)
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = [int((n + 1) * 700 * (10 ** (top * k / (filters + 1) / 2595) - 1) / rate) for k in range(filters + 2)]
    rows = []
    for begin in range(0, len(signal) - frame + 1, step):
        spectrum = turns @ [emphasised[begin + t] * hamming[t] for t in range(frame)]
        power = abs(spectrum) ** 2 / n
        energies = []
        for left, middle, right in zip(corners, corners[1:], corners[2:]):
            energy = sum(power[k] * (k - left) / (middle - left) for k in range(left, middle))
            energies.append(energy + sum(power[k] * (right - k) / (right - middle) for k in range(middle, right)))
        logs = np.log(np.array(energies) + 1e-8)
        rows.append(
            [
                np.sqrt((1 if k == 0 else 2) / filters)
                * sum(logs[m] * np.cos(np.pi * k * (m + 0.5) / filters) for m in range(filters))
                for k in range(count)
            ]
        )
    return np.array(rows)


@pytest.mark.parametrize(
    ("rate", "options"),
    [(8000, {}), (16000, {"count": 20, "filters": 40, "emphasis": 0.9}), (11025, {"window": 0.03, "hop": 0.015})],
)
def test_mfcc_is_what_its_definition_gives(rng, rate, options):
    signal = 0.1 * rng.standard_normal(rate // 8)
    np.testing.assert_allclose(mfcc(signal, rate, **options), slow_mfcc(signal, rate, **options), rtol=1e-4, atol=1e-4)


def test_mfcc_are_those_of_the_data_set():
    """Of all values, rounded to half precision as the data set has them, fewer than one in ten thousand differs."""
    sound, digits = datasets.spoken_digits_wav(), datasets.spoken_digits()
    differ = total = 0
    for wave, digit, index in zip(*sound, strict=True):
        (n,) = np.flatnonzero((digits.speaker == "jackson") & (digits.digit == digit) & (digits.index == index))
        found = mfcc(wave, 8000)
        assert found.dtype == np.float32
        differ += (found.astype(np.float16) != digits.x[n].astype(np.float16)).sum()
        total += found.size
    assert total > 30_000
    assert differ / total < 1e-4


def test_mfcc_of_integers_are_those_of_their_fractions(rng):
    wave = rng.integers(-2000, 2000, 900).astype(np.int16)
    expected = mfcc(wave / 32768, 8000)
    np.testing.assert_array_equal(mfcc(wave, 8000), expected)
    np.testing.assert_array_equal(mfcc(wave.astype(np.int32) * 65536, 8000), expected)
    quiet = wave // 64
    np.testing.assert_allclose(mfcc((quiet + 128).astype(np.uint8), 8000), mfcc(quiet / 128, 8000), rtol=1e-5)


@pytest.mark.parametrize(
    ("signal", "options", "message"),
    [
        (np.zeros(199), {}, "signal: expected at least 200 samples, a frame, got 199"),
        (np.zeros((400, 2)), {}, r"signal: expected shape \(n,\), one channel, got shape \(400, 2\)"),
        (np.array(["a"]), {}, "signal: expected an array of real numbers, got ndarray"),
        (np.full(400, np.nan), {}, "signal: expected finite values, got nan"),
        (np.zeros(400), {"rate": 0}, "rate: expected a finite number above 0, got 0"),
        (np.zeros(400), {"count": 27}, "count: expected at most filters, 26, got 27"),
        (np.zeros(400), {"filters": 0}, "filters: expected an int of at least 1, got 0"),
        (np.zeros(400), {"window": -1}, "window: expected a finite number above 0, got -1"),
        (np.zeros(400), {"hop": "1"}, "hop: expected a finite number above 0, got '1'"),
        (np.zeros(400), {"emphasis": 2}, "emphasis: expected a number from 0 to 1, got 2"),
    ],
)
def test_mfcc_names_what_does_not_fit(signal, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mfcc(signal, **{"rate": 8000, **options})


def test_silence_is_cut_off_at_both_ends(rng):
    """White noise, 20 dB softer before and 40 dB softer behind; the same in the middle stays."""
    noise = 0.3 * rng.standard_normal(8000)
    noise[:1600] *= 0.1
    noise[3200:4000] *= 0.01
    noise[6400:] *= 0.01
    frames = mfcc(noise, 8000)
    assert len(trim(frames, 30)) == pytest.approx(80, abs=2)
    assert len(trim(frames, 10)) == pytest.approx(61, abs=2)
    np.testing.assert_array_equal(trim(frames, 60), frames)
    assert len(trim(frames[:1])) == 1
    for wrong, message in (
        ((frames[0],), "cepstra: expected"),
        ((frames, 0), "decibels: expected a finite number above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            trim(*wrong)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint8, np.float32])
def test_wav_files_of_all_kinds_are_read(tmp_path, dtype):
    wave = 0.5 * np.sin(np.arange(100))
    levels = {np.int16: wave * 32768, np.int32: wave * 2.0**31, np.uint8: wave * 128 + 128, np.float32: wave}
    scipy.io.wavfile.write(tmp_path / "a.wav", 8000, levels[dtype].astype(dtype))
    signal, rate = read_wav(tmp_path / "a.wav")
    assert (rate, signal.dtype, signal.shape) == (8000, np.float64, (100,))
    np.testing.assert_allclose(signal, wave, atol=1 / 100)
    stereo = np.stack([levels[dtype], levels[dtype][::-1]], axis=1).astype(dtype)
    scipy.io.wavfile.write(tmp_path / "b.wav", 8000, stereo)
    np.testing.assert_allclose(read_wav(tmp_path / "b.wav")[0], (wave + wave[::-1]) / 2, atol=1 / 100)


def test_files_that_are_no_recordings_are_named(tmp_path):
    (tmp_path / "text.wav").write_text("hello, this is text and nothing that can be heard")
    (tmp_path / "empty.wav").write_bytes(b"")
    scipy.io.wavfile.write(tmp_path / "silent.wav", 8000, np.zeros(0, np.int16))
    for name, reason in (("text", "no recording"), ("empty", "no recording"), ("silent", "no samples")):
        with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))}.{name}.wav: {reason}"):
            read_wav(tmp_path / f"{name}.wav")
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "absent.wav")


# Frames


def spoken(rng, frames, matrix, mean):
    """Frames (frames, F) whose covariance and mean are exactly these."""
    x = rng.standard_normal((frames, len(mean)))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / frames)).T @ matrix + mean


def two_voices(rng):
    return [Voice.of([spoken(rng, 50, rng.normal(size=(4, 4)), rng.normal(size=4))]) for _ in range(2)]


def test_a_voice_is_made_like_another(rng):
    """What the map that moves points least is known by: the covariances, and that it is symmetric and positive."""
    one, other = two_voices(rng)
    found = Voice(one.mean, one.covariance, 10**12).alignment(other)  # so familiar that nothing else counts
    np.testing.assert_allclose(found, found.T, atol=1e-9)
    assert np.linalg.eigvalsh(found).min() > 0
    np.testing.assert_allclose(found.T @ one.covariance @ found, other.covariance, atol=1e-6)


def test_a_voice_of_few_frames_is_only_scaled(rng):
    one, other = two_voices(rng)
    nobody = Voice(one.mean, one.covariance, 0)
    np.testing.assert_allclose(nobody.alignment(other), np.diag(other.deviation / one.deviation), atol=1e-6)
    half = Voice(one.mean, one.covariance, FAMILIAR).alignment(other)
    own = np.outer(one.deviation, one.deviation) * (one.correlation + other.correlation) / 2
    np.testing.assert_allclose(half.T @ own @ half, other.covariance, atol=1e-6)


def test_small_features_are_aligned_precisely(rng):
    one, other = two_voices(rng)
    tiny = np.array([1, 1e-9, 1e3, 1e-7])
    small = [Voice(v.mean * tiny, v.covariance * np.outer(tiny, tiny), 10**12) for v in (one, other)]
    found = small[0].alignment(small[1])
    reached = found.T @ small[0].covariance @ found
    np.testing.assert_allclose(reached / np.outer(tiny, tiny), other.covariance, atol=1e-4)


def test_voices_have_means_and_covariances(rng):
    parts = [rng.normal(k, 2, (10 + k, 3)) for k in range(4)]
    both = Voice.of(parts)
    np.testing.assert_allclose(both.mean, np.concatenate(parts).mean(axis=0))
    np.testing.assert_allclose(both.covariance, np.cov(np.concatenate(parts).T, bias=True))
    within = Voice.between([Voice.of([part]) for part in parts])
    expected = sum(len(part) * np.cov(part.T, bias=True) for part in parts) / 46
    np.testing.assert_allclose(within.covariance, expected)
    np.testing.assert_allclose(within.mean, both.mean)
    assert within.frames == both.frames == 46
    constant = Voice.of([np.array([[1.0, 2], [1, 4], [1, 3]])])
    assert constant.correlation.tolist() == [[1, 0], [0, 1]]
    assert constant.unit[0] == 1
    with pytest.raises(ValueError, match="no voice has shapes"):
        Voice.from_state({"mean": np.zeros(2), "covariance": np.zeros((3, 3)), "frames": 1})


def test_the_front_end_normalises(rng):
    """By speaker, by recording, or not at all; what it has met stays what it was."""
    X = [rng.normal(3, 5, (20, 4)).astype(np.float32) for _ in range(6)]
    for x in X:
        x[:, 2] = 7  # constant
    names = ["a", "b", "b"] * 2
    for cmvn, who in ((True, names), (True, None), (False, None)):
        front_end = FrontEnd.of(X, who, cmvn, True, 3)
        aligned = front_end.aligned(X, who)
        assert all(x.dtype == np.float32 for x in aligned)
        np.testing.assert_allclose(np.concatenate(aligned)[:, 2], 0, atol=1e-5)
        groups = [[x] for x in aligned] if cmvn else [aligned]
        for group in [aligned[::3], aligned[1::3] + aligned[2::3]] if who else groups:
            frames = np.concatenate(group)
            np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-5)
            np.testing.assert_allclose(frames.std(axis=0), [1, 1, 0, 1], rtol=0.2, atol=1e-5)
        read = np.concatenate([front_end.steps(x).reshape(-1, 8)[: len(x)] for x in aligned])
        np.testing.assert_allclose(read.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(read.std(axis=0)[[0, 1, 3, 4]], 1, rtol=1e-5)
    front_end = FrontEnd.of(X, names, True, False, 1)
    before = front_end.aligned(X[:1], ["a"])[0]
    front_end.meet([3 * x for x in X], ["a", "c"] * 3)
    np.testing.assert_array_equal(front_end.aligned([X[0], 9 * X[0]], ["a", "a"])[0], before)
    known = front_end.aligned([9 * X[0]], ["c"])[0]
    assert np.abs(known).max() > 2 * np.abs(front_end.aligned([9 * X[0]], ["d"])[0]).max()


def test_frames_have_slopes(rng):
    x = rng.normal(3, 5, (20, 4))
    slope = with_deltas(x)[:, 4:]
    expected = scipy.signal.savgol_filter(np.pad(x, ((9, 9), (0, 0)), "edge"), 5, 1, deriv=1, axis=0)[9:-9]
    np.testing.assert_allclose(slope, expected, atol=1e-12)
    assert with_deltas(x[:1]).tolist() == [[*x[0], 0, 0, 0, 0]]


@pytest.mark.parametrize(("T", "count", "steps"), [(6, 3, 2), (7, 3, 3), (1, 4, 1), (5, 1, 5)])
def test_frames_are_stacked(rng, T, count, steps):
    x = rng.normal(size=(T, 2))
    found = stacked(x, count)
    assert found.shape == (steps, 2 * count)
    flat = found.reshape(-1, 2)
    np.testing.assert_array_equal(flat[:T], x)
    np.testing.assert_array_equal(flat[T:], np.repeat(x[-1:], steps * count - T, axis=0))


def test_recordings_are_stretched():
    x = np.stack([np.arange(11.0), 3 - np.arange(11.0)], axis=1)
    longer = stretched(x, 1.5)
    np.testing.assert_allclose(longer[:, 0], np.linspace(0, 10, 16))
    np.testing.assert_allclose(longer[:, 1], 3 - np.linspace(0, 10, 16))
    np.testing.assert_array_equal(stretched(x, 1.0), x)
    assert stretched(x[:1], 0.1).shape == (1, 2)


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.2])
def test_cepstra_are_those_of_the_warped_spectrum(factor):
    """Of a smooth spectrum, which few cepstra describe."""
    u = (np.arange(400) + 0.5) / 400
    waves = np.sqrt(2) * np.cos(np.pi * np.outer(np.arange(40), u))
    waves[0] = 1
    peak = np.exp(-(((u - 0.4) / 0.15) ** 2))
    cepstra = waves @ peak / 400
    warped = warp_matrix(40, factor) @ cepstra
    expected = np.exp(-(((np.minimum(factor * u, 1) - 0.4) / 0.15) ** 2))
    np.testing.assert_allclose(warped @ waves, expected, atol=0.01)


def test_recordings_are_changed_as_it_is_said(rng):
    x = rng.normal(size=(40, 13)).astype(np.float32)
    unit, nothing = np.ones(13), Augmentation(0, 0, 0, 0, 0, 0)
    assert nothing.of_frames(x, unit, rng) is x
    assert nothing.of_features(x, rng) is x
    lengths = [len(nothing._replace(stretch=0.25).of_frames(x, unit, rng)) for _ in range(200)]
    assert min(lengths) in (32, 33)
    assert max(lengths) in (49, 50)
    noise = nothing._replace(noise=0.5).of_features(x, rng) - x
    assert 0.4 < noise.std() < 0.6
    moved = np.array([nothing._replace(offset=0.2).of_features(x, rng) for _ in range(300)])
    assert 0.15 < moved.mean(axis=1).std() < 0.26
    sizes = np.log(moved.std(axis=1) / x.std(axis=0))
    assert 0.09 < sizes.std() < 0.11
    np.testing.assert_allclose(moved - moved[:, :1], np.exp(sizes)[:, np.newaxis] * (x - x[0]), atol=1e-4)
    hidden = [(nothing._replace(mask=0.5).of_features(x, rng) == 0).all(axis=1) for _ in range(200)]
    assert 15 <= max(rows.sum() for rows in hidden) <= 20
    assert all(np.diff(np.flatnonzero(rows)).max(initial=1) == 1 for rows in hidden)


def linear(change, x):
    """The matrix (F, F) that makes `change` of frames."""
    return np.linalg.lstsq(x, change - 0.0, rcond=None)[0]


def test_throats_and_mixtures_are_linear(rng):
    """A warped recording is that of a warped spectrum, whatever the units; a mixture is I + mix G / sqrt(F)."""
    x, unit = rng.normal(size=(40, 13)), rng.uniform(0.5, 3, 13)
    nothing = Augmentation(0, 0, 0, 0, 0, 0)
    warped = linear(nothing._replace(warp=0.1).of_frames(x / unit, unit, np.random.default_rng(5)) * unit, x)
    factor = np.exp(np.random.default_rng(5).uniform(-1, 1) * np.log1p(0.1))
    np.testing.assert_allclose(warped.T, warp_matrix(13, factor), atol=1e-5)
    assert np.abs(warped - np.eye(13)).max() > 0.05
    mixtures = [linear(nothing._replace(mix=0.2).of_frames(x, unit, rng), x) - np.eye(13) for _ in range(50)]
    assert np.std(mixtures) == pytest.approx(0.2 / np.sqrt(13), rel=0.05)
    assert abs(np.mean(mixtures)) < 0.005


# The recogniser

TONES = {"low": [1.0, 0.0, 0.3], "high": [0.0, 1.0, -0.2], "mid": [0.5, 0.5, 1.0]}
SMALL = {"hidden_size": 16, "num_layers": 1, "stack": 2, "learning_rate": 0.03, "batch_size": 16, "random_state": 0}


def record(rng, text):
    """Frames of tones with pauses between them."""
    frames = []
    for word in text.split():
        frames += [TONES[word]] * rng.integers(4, 8) + [[0.0, 0.0, 0.0]] * 4
    return np.array(frames) + 0.1 * rng.standard_normal((len(frames), 3))


def recordings(seed, count):
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(list(TONES), rng.integers(1, 4))) for _ in range(count)]
    return [record(rng, text) for text in texts], texts


@pytest.fixture(scope="module")
def recogniser():
    """A model that has learnt tones; it must not be changed."""
    return SpeechRecognizer(**SMALL, epochs=15).fit(*recordings(0, 150))


def test_it_hears_tones_that_it_has_not_heard(recogniser):
    X, texts = recordings(1, 60)
    assert recogniser.score(X, texts) > 0.95
    assert recogniser.classes_ == ["high", "low", "mid"]
    wide = copy.copy(recogniser).set_params(beam_width=8)
    assert wide.score(X, texts) > 0.95


def test_several_networks_decide_together():
    X, texts = recordings(0, 150)
    model = SpeechRecognizer(**SMALL, epochs=12, networks=3).fit(X[:110], texts[:110])
    assert model.score(X[110:], texts[110:]) > 0.9
    scores = np.log([[[0.1, 0.6, 0.3]] * 2, [[0.1, 0.1, 0.8]] * 2])
    for width in (1, 4):
        assert [agreed(one, width).tolist() for one in (scores[:1], scores[1:], scores)] == [[1], [2], [2]]
    # 1 is said by the paths 11, -1 and 1-
    assert log_probability(scores, np.array([1])) == pytest.approx((np.log(0.36 + 0.12) + np.log(0.01 + 0.02)) / 2)


def test_the_surest_of_each_text_are_chosen():
    often = [np.array([1])] * 10 + [np.array([2])] * 6
    rare = [np.array([1, 2]), np.array([2, 1, 1]), np.array([], int), np.array([3])]
    sure = [-float(k) for k in range(10)] + [-50.0 - k for k in range(6)] + [-4.0, -3.0, -0.1, -2.5]
    assert surest([*often, *rare], sure, 0.5) == [0, 1, 2, 3, 4, 10, 11, 12, 16, 17]  # by label: -2, -1 and -2.5
    assert surest([*often, *rare], sure, 0.01) == [0, 10, 17]
    assert surest([np.array([], int)], [-0.1], 0.9) == []


def test_score_counts_edits(recogniser):
    X, _ = recordings(2, 20)
    heard = recogniser.predict(X)
    wrong = [*heard[:10], *["high high high high"] * 10]
    edits = sum(edit_distance(a.split(), b.split()) for a, b in zip(heard, wrong))
    assert edits > 10
    assert recogniser.score(X, heard) == 1
    assert recogniser.score(X, wrong) == pytest.approx(1 - edits / sum(len(text.split()) for text in wrong))


def test_probabilities_are_those_that_are_read(recogniser):
    X, _ = recordings(3, 5)
    for x, found, text in zip(X, recogniser.label_probabilities(X), recogniser.predict(X)):
        assert found.shape == (-(-len(x) // 2), 4)
        np.testing.assert_allclose(found.sum(axis=1), 1)
        path = found.argmax(axis=1)
        said = [path[t] for t in range(len(path)) if path[t] and (t == 0 or path[t] != path[t - 1])]
        assert " ".join(recogniser.classes_[k - 1] for k in said) == text


def test_loudness_does_not_matter_and_neither_do_other_rows(recogniser):
    X, _ = recordings(4, 12)
    expected = recogniser.predict(X)
    assert [recogniser.predict([x])[0] for x in X] == expected
    assert recogniser.predict([3 * x + [5, -2, 1] for x in X]) == expected
    assert recogniser.predict(np.stack([X[0], X[0]])) == [expected[0]] * 2


def test_speakers_have_voices_of_their_own():
    """Two people, one of whom speaks everything far lower: by who speaks, the same words are the same again."""
    X, texts = recordings(6, 80)
    speakers = np.array(["ann", "bob"] * 40)
    other = [x if who == "ann" else 0.2 * x + 4 for x, who in zip(X, speakers)]
    model = SpeechRecognizer(**SMALL, epochs=12).fit(other[:60], texts[:60], speakers[:60])
    assert model.score(other[60:], texts[60:], speakers[60:]) > 0.9
    ann = model.predict(X[60::2], ["ann"] * 10)
    (again,) = model.predict([X[60]], ["ann"])  # the voice is known
    assert again == ann[0]
    others = model.predict(X[60::2], ["carl"] * 10)
    assert others == model.predict([7 * x - 3 for x in X[60::2]], ["dora"] * 10)
    together = model.label_probabilities(other[60:], speakers[60:])
    for a, b in zip(together[::2], model.label_probabilities(X[60::2], ["ann"] * 10)):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(
        ValueError, match=r"speakers: expected shape \(2,\), a speaker for each recording, got shape \(1,\)"
    ):
        model.predict(X[:2], ["ann"])


def foreign(x):
    """The same words, spoken by somebody whose features are mixed."""
    return x @ np.array([[1, 0.72, 0], [-0.6, 1, 0.48], [0.36, 0, 1]]) + [1.2, 0, -0.6]


def test_it_gets_used_to_other_voices():
    """Of a speaker that it understands badly, by recordings whose text it is not told; others are tested on."""
    X, texts = recordings(7, 100)
    model = SpeechRecognizer(**SMALL, epochs=12, cmvn=False).fit(X, texts)
    others, said = recordings(8, 160)
    others = [foreign(x) for x in others]
    before = model.score(others[80:], said[80:])
    expected = copy.deepcopy(model).adapt(others[:80])
    assert before < 0.9
    assert expected.score(others[80:], said[80:]) > before + 0.05
    again = copy.deepcopy(model).adapt(np.array(others[:80], object).tolist())
    np.testing.assert_array_equal(again.net_.flat_parameters, expected.net_.flat_parameters)
    assert model.score(others[80:], said[80:]) == before  # the copies changed, it did not


def test_adaptation_remembers_voices_and_takes_several_networks(tmp_path):
    X, texts = recordings(7, 60)
    model = SpeechRecognizer(**SMALL, epochs=8, networks=2, beam_width=3).fit(X, texts, ["ann", "bob"] * 30)
    others = [3 * x + 1 for x in recordings(8, 40)[0]]
    model.adapt(others, [7] * 40, rounds=2, epochs=1)
    assert set(model.front_end_.known) == {"ann", "bob", 7}
    alone = model.label_probabilities(others[:1], [7])
    np.testing.assert_array_equal(alone[0], model.label_probabilities(others, [7] * 40)[0])
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "model.safetensors").label_probabilities(others[:1], [7]), alone)


def test_adaptation_says_what_does_not_fit(recogniser):
    before = recogniser.net_.flat_parameters.copy()
    X, _ = recordings(8, 10)
    for arguments, options, message in (
        ((X,), {"rounds": 0}, "rounds: expected an int of at least 1, got 0"),
        ((X,), {"epochs": 0.5}, "epochs: expected an int of at least 1"),
        ((X, ["ann"]), {}, r"speakers: expected shape \(10,\), a speaker for each recording, got shape \(1,\)"),
        (([np.zeros((9, 2))],), {}, "X: expected 3 features, as at fit, got 2"),
        (([np.zeros((9, 3))],), {}, "X: expected recordings in which something is heard, got none"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            copy.copy(recogniser).adapt(*arguments, **options)
    np.testing.assert_array_equal(recogniser.net_.flat_parameters, before)
    with pytest.raises(NotFittedError):
        SpeechRecognizer().adapt(X)


def test_files_and_pickles_hear_the_same(recogniser, tmp_path):
    X, _ = recordings(5, 10)
    expected = recogniser.label_probabilities(X)
    recogniser.save(tmp_path / "model.safetensors")
    for again in (load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(recogniser))):
        for a, b in zip(again.label_probabilities(X), expected):
            np.testing.assert_array_equal(a, b)
        assert again.get_params() == recogniser.get_params()
        assert again.predict(X) == recogniser.predict(X)


@pytest.mark.parametrize("options", [{"networks": 2}, {"warp": 0.1, "mask": 0.2}, {"patience": 1}, {"cmvn": False}])
def test_the_same_seed_gives_the_same_bits(options, tmp_path):
    X, texts = recordings(0, 40)
    model = SpeechRecognizer(**SMALL, epochs=2, **options)
    first = model.fit(X, texts).net_.flat_parameters.copy()
    clstm.set_num_threads(2)
    assert np.array_equal(first, model.fit(X, texts).net_.flat_parameters)
    assert not np.array_equal(first, model.set_params(random_state=1).fit(X, texts).net_.flat_parameters)
    model.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").predict(X) == model.predict(X)
    assert ("val_loss" in model.history_) == ("patience" in options)


def test_what_validates_is_not_measured():
    X, texts = recordings(0, 40)
    names = ["ann", "bob"] * 20
    for speakers in (None, names):
        model = SpeechRecognizer(**SMALL, epochs=1, patience=1, validation_fraction=0.25).fit(X, texts, speakers)
        assert 0 < model.front_end_.voice.frames < sum(map(len, X))
    assert set(model.front_end_.known) == {"ann", "bob"}


def test_labels_are_words_characters_or_lists():
    X, texts = recordings(0, 30)
    spelt = SpeechRecognizer("characters", **{**SMALL, "stack": 1}, epochs=1).fit(X, ["ab", "ba c"] * 15)
    assert spelt.classes_ == [" ", "a", "b", "c"]
    assert all(isinstance(text, str) for text in spelt.predict(X))
    listed = SpeechRecognizer(**SMALL, epochs=1).fit(X, [text.split() for text in texts])
    worded = SpeechRecognizer(**SMALL, epochs=1).fit(X, texts)
    assert listed.predict(X) == [text.split() for text in worded.predict(X)]
    assert listed.score(X, [text.split() for text in texts]) == worded.score(X, texts)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"units": "letters"}, "units: expected one of 'words', 'characters', got 'letters'"),
        ({"beam_width": 0}, "beam_width: expected an int of at least 1, got 0"),
        ({"cmvn": 1}, "cmvn: expected True or False, got 1"),
        ({"deltas": None}, "deltas: expected True or False, got None"),
        ({"stack": 0}, "stack: expected an int of at least 1, got 0"),
        ({"noise": -1}, "noise: expected a number of at least 0, got -1"),
        ({"offset": None}, "offset: expected a number of at least 0, got None"),
        ({"stretch": np.inf}, "stretch: expected a number of at least 0, got inf"),
        ({"warp": "x"}, "warp: expected a number of at least 0, got 'x'"),
        ({"mask": 1}, r"mask: expected a number in \[0, 1\), got 1"),
        ({"hidden_size": 0}, "hidden_size: expected an int of at least 1, got 0"),
        ({"num_layers": 2.0}, "num_layers: expected an int of at least 1, got 2.0"),
        ({"bidirectional": 0}, "bidirectional: expected True or False, got 0"),
        ({"dropout": 1.5}, r"dropout: expected a number in \[0, 1\), got 1.5"),
        ({"networks": 0}, "networks: expected an int of at least 1, got 0"),
        ({"epochs": -3}, "epochs: expected an int of at least 1, got -3"),
        ({"random_state": -1}, "random_state: expected a seed of at least 0, got -1"),
    ],
)
def test_parameters_that_do_not_fit_are_named(params, message):
    model = SpeechRecognizer(**{"epochs": 1, **params})
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(*recordings(0, 4))
    assert not hasattr(model, "net_")


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ("abc", ["a"], r"X: expected a list of arrays \(T, F\), or an array \(N, T, F\), got str"),
        ([], [], "X: expected at least one recording, got none"),
        ([np.zeros((9, 2)), np.zeros((9, 3))], ["a", "b"], r"X\[1\]: expected 2 features, as X\[0\] has, got 3"),
        ([np.zeros(9)], ["a"], r"X\[0\]: expected shape \(T, F\), with at least a frame, got shape \(9,\)"),
        ([np.zeros((0, 2))], ["a"], r"X\[0\]: expected shape \(T, F\), with at least a frame, got shape \(0, 2\)"),
        ([np.array([["x"]])], ["a"], r"X\[0\]: expected an array of real numbers"),
        ([[[0.0, 1.0], [np.nan, 1.0]]], ["a"], r"X\[0\]: expected finite values, got nan at frame 1, feature 0"),
        ([np.zeros((9, 2))], ["a", "b"], "y: expected 1, as many as X has recordings, got 2"),
        ([np.zeros((9, 2))], "a", "y: expected a list of texts, or of lists of labels, got str"),
        ([np.zeros((9, 2))], [" "], r"y\[0\]: expected at least one label, got ' '"),
        ([np.zeros((9, 2))] * 2, ["a", ["b"]], r"y\[1\]: expected a str, as y\[0\], got list"),
        ([np.zeros((9, 2))] * 2, [["a"], "b"], r"y\[1\]: expected a list of str, got str"),
        ([np.zeros((9, 2))], [[3]], r"y\[0\]: expected labels that are str, got 3 \(int\)"),
        ([np.zeros((9, 2))], [3], r"y\[0\]: expected a list of str, got int"),
        (
            [np.zeros((9, 2))],
            ["a b c"],
            r"X\[0\]: expected at least 3 steps of 4 frames for the labels of y\[0\], got 2",
        ),
        ([np.zeros((9, 2))], ["a a"], r"X\[0\]: expected at least 3 steps of 4 frames for the labels of y\[0\], got 2"),
    ],
)
def test_recordings_and_labels_that_do_not_fit_are_named(X, y, message):
    with pytest.raises((TypeError, ValueError), match=message):
        SpeechRecognizer(stack=4, epochs=1).fit(X, y)


def test_recordings_of_other_features_are_refused(recogniser):
    with pytest.raises(ValueError, match="X: expected 3 features, as at fit, got 2"):
        recogniser.predict([np.zeros((9, 2))])


def test_who_has_learnt_nothing_says_so():
    for use in (lambda m: m.predict([]), lambda m: m.label_probabilities([]), lambda m: m.score([], [])):
        with pytest.raises(NotFittedError, match="this SpeechRecognizer has learnt nothing yet: call fit first"):
            use(SpeechRecognizer())


def test_grid_search_takes_it():
    selection = pytest.importorskip("sklearn.model_selection")
    X, texts = recordings(0, 60)
    search = selection.GridSearchCV(SpeechRecognizer(**SMALL), {"epochs": [1, 15]}, cv=2).fit(X, texts)
    assert search.best_params_ == {"epochs": 15}
    assert search.best_score_ > 0.6
