#!/usr/bin/env python3
"""Writes the frequency tables of the `entropy` chapter: `python3 entropy-tables.py > entropy-tables.txt`.

The text file is the format, this is only where it came from; run elsewhere it may differ in a last digit.
"""
from math import atan, erf, exp, lgamma, log, pi, sqrt

STATES = 512
SYMBOLS = 64  # 0 is the escape
MIDDLE = 32


def steps(first, end, factor):
    at = first
    while at < end:
        yield at
        at *= factor


def normal(x):
    return 0.5 * (1 + erf(x / sqrt(2)))


def logistic(x):
    return 1 / (1 + exp(-max(-500, x)))


def student3(x):
    t = x / sqrt(3)
    return 0.5 + (t / (1 + t * t) + atan(t)) / pi


def scaled(weights, states=STATES):
    """Whole frequencies in proportion to 63 weights; what rounds to nothing is left to the escape."""
    total = sum(weights)
    exact = [weight / total * states for weight in weights]
    whole = [max(1, round(x)) if x >= 0.4 else 0 for x in exact]
    rare = max(1, round(sum(x for x, f in zip(exact, whole) if f == 0)))
    surplus = rare + sum(whole) - states
    while surplus:  # at the cost of the most frequent, which feel it least
        largest = whole.index(max(whole))
        change = max(1, min(surplus, whole[largest] // 8)) if surplus > 0 else surplus
        whole[largest] -= change
        surplus -= change
    return [rare] + whole


def around(cdf, scale, centre=0.0):
    """Bins of width 1 around the middle symbol."""
    def bin(symbol):
        x = symbol - MIDDLE - centre
        return max(0.0, cdf((x + 0.5) / scale) - cdf((x - 0.5) / scale))
    return [bin(symbol) for symbol in range(1, SYMBOLS)]


def counts(mean, clumps=None):
    """Poisson, or with clumps its overdispersed kin, the negative binomial."""
    def term(k):
        if clumps is None:
            return exp(-mean + k * log(mean) - lgamma(k + 1))
        p = mean / (mean + clumps)
        return exp(lgamma(k + clumps) - lgamma(clumps) - lgamma(k + 1) + k * log(p) + clumps * log(1 - p))
    return [term(k) for k in range(SYMBOLS - 1)]


def inflated(share, weights):
    total = sum(weights)
    weights = [weight * (1 - share) / total for weight in weights]
    weights[MIDDLE - 1] += share
    return weights


def linear():
    for s in steps(0.25, 10, 1.16):
        for centre in ([0, 0.25, -0.25, 0.5] if s < 1.2 else [0, 0.5] if s < 3.5 else [0]):
            yield MIDDLE, f"normal {s:.3f} {centre}", around(normal, s, centre)
    for s in steps(0.2, 7, 1.2):
        yield MIDDLE, f"logistic {s:.3f}", around(logistic, s)
    for s in steps(0.5, 6, 1.3):
        yield MIDDLE, f"student3 {s:.3f}", around(student3, s)
    for b in steps(0.2, 12, 1.22):
        yield MIDDLE, f"laplace {b:.3f}", [exp(-abs(k - MIDDLE) / b) for k in range(1, SYMBOLS)]
    for mean in steps(0.01, 22, 1.25):
        yield 1, f"poisson {mean:.3f}", counts(mean)
    for mean in steps(0.4, 22, 1.4):
        yield 1, f"clumped 6 {mean:.3f}", counts(mean, 6)
    for mean in steps(0.1, 22, 1.4):
        yield 1, f"clumped 2 {mean:.3f}", counts(mean, 2)
    for b in steps(0.15, 20, 1.32):
        yield 1, f"geometric {b:.3f}", [exp(-k / b) for k in range(SYMBOLS - 1)]
    for share in [0.5, 0.65, 0.8, 0.92]:
        for s in steps(1, 12, 1.7):
            yield MIDDLE, f"middle {share} normal {s:.3f}", inflated(share, around(normal, s))
    for k in list(range(2, 8)) + list(range(8, SYMBOLS, 5)) + [63]:
        yield 1, f"uniform {k}", [1.0] * k + [0.0] * (SYMBOLS - 1 - k)


def floor_of(step):
    """The smallest magnitude of a step: 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, ..."""
    return step if step < 2 else (2 + (step & 1)) << (step // 2 - 1)


def octaves(cdf, both_signs, zero_share=0.0):
    bins = [max(0.0, cdf(floor_of(k + 1)) - cdf(floor_of(k))) for k in range(31)]
    total = sum(bins)
    bins = [x * (1 - zero_share) / total for x in bins]
    weights = [0.5 * x for x in bins] * 2 + [0.0] if both_signs else bins + [0.0] * 32
    weights[0] += zero_share
    return [x + (0.0001 if both_signs and k < 62 or k < 31 else 0) for k, x in enumerate(weights)]


def lognormal(median, spread):
    return lambda x: 0.0 if x <= 0 else normal(log(x / median) / spread)


def log_scale():
    for c in [1.0, sqrt(2)]:
        for spread in [0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8]:
            yield f"lognormal {64 * c:.2f} {spread}", lognormal(64 * c, spread), False, 0
        yield f"exponential {92 * c:.2f}", lambda x: 1 - exp(-x / (92 * c)), False, 0
        yield f"stretched {128 * c:.2f}", lambda x: 1 - exp(-sqrt(x / (128 * c))), False, 0
        for b in [8 * c, 32 * c]:
            yield f"both laplace {1.44 * b:.2f}", lambda x: 1 - exp(-x / (1.44 * b)), True, 0
            yield f"both cauchy {b:.2f}", lambda x: atan(x / b) * 2 / pi, True, 0
            yield f"both student2 {b:.2f}", lambda x: x / b / sqrt(2 + (x / b) ** 2), True, 0
            yield f"both stretched {2 * b:.2f}", lambda x: 1 - exp(-sqrt(x / (2 * b))), True, 0
    for m in [0.4, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]:
        for spread in [0.8, 1.6]:
            yield f"lognormal {m} {spread}", lognormal(m, spread), False, 0
        for both in [False, True]:
            name = "both " if both else ""
            for zeros in [0, 0.4]:
                yield f"{name}pareto {m} zeros {zeros}", lambda x: x / (x + m), both, zeros
            yield f"{name}student2 {m}", lambda x: x / m / sqrt(2 + (x / m) ** 2), both, 0


def line(origin, name, frequencies):
    first = next(k for k in range(1, SYMBOLS) if frequencies[k])
    last = max(k for k in range(1, SYMBOLS) if frequencies[k])
    assert sum(frequencies) == STATES
    print(f"{name}: {origin} {frequencies[0]} {first}", *frequencies[first:last + 1])


seen = set()
for origin, name, weights in linear():
    if (key := (origin, tuple(scaled(weights)))) not in seen:
        seen.add(key)
        line(origin, name, scaled(weights))
print()
for name, cdf, both, zeros in log_scale():
    line(1, name, scaled(octaves(cdf, both, zeros)))
