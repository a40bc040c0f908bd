"""Prints the constants of activations.h. Needs mpmath.

The one series there is C(s) = 1 + s q(s), the even function h coth(h) in s = h^2 for |h| <= ln(2) / 4. q is its minimax
polynomial: the one whose largest relative error in C is least, found by the exchange algorithm of Remez (1934).
"""

from mpmath import cosh, log, lu_solve, matrix, mp, mpf, nstr, pi, polyval, sinh, sqrt

mp.prec = 200


def target(s):
    """Value and weight: C(s) = 1 + s value; an error e of the value is a relative error weight * e of C."""
    h = sqrt(s)
    c = h * cosh(h) / sinh(h)
    return (c - 1) / s, s / c


def minimax(degree, end):
    """Coefficients of q, the constant first, and its largest weighted error on (0, end]."""
    n = degree + 1
    nodes = 50 * n
    s = [end * (1 - mp.cos(pi * (i + 1) / nodes)) / 2 for i in range(nodes)]
    f, w = zip(*map(target, s))
    chosen = [nodes * (i + 1) // (n + 1) - 1 for i in range(n + 1)]  # as many points as unknowns
    while True:
        # The polynomial whose weighted error has the same size and alternating signs at the chosen points
        rows = [[w[i] * s[i] ** j for j in range(n)] + [(-1) ** k] for k, i in enumerate(chosen)]
        *q, level = lu_solve(matrix(rows), matrix([w[i] * f[i] for i in chosen]))
        error = [(polyval(q[::-1], s[i]) - f[i]) * w[i] for i in range(nodes)]
        # Next points: the extremes between two changes of sign
        extremes = [0]
        for i in range(nodes):
            if error[i] * error[extremes[-1]] < 0:
                extremes.append(i)
            elif abs(error[i]) > abs(error[extremes[-1]]):
                extremes[-1] = i
        if len(extremes) != n + 1:
            raise ArithmeticError(f"{len(extremes)} extremes, not {n + 1}")
        if max(map(abs, error)) < abs(level) * (1 + mpf(10) ** -6):
            return q, abs(level)
        chosen = extremes


# For each precision: bits of the fraction, terms of C, and bits of the first part of ln 2, few enough for its products
# with the exponents that occur (up to 150 and 1076) to be exact
for name, bits, terms, part in (("float", 24, 3, 15), ("double", 53, 6, 42)):
    q, error = minimax(terms - 2, (log(2) / 4 * (1 + mpf(2) ** -10)) ** 2)
    first = mp.floor(log(2) * 2**part) / 2**part
    print(f"{name}: largest relative error of C {nstr(error * 2**bits, 2)} * 2^-{bits}")
    print("    C         ", ", ".join(nstr(c, 17) for c in [mpf(1), *q]))
    print("    LN2_FIRST ", float(first).hex())
    print("    LN2_SECOND", nstr(log(2) - first, 17))
