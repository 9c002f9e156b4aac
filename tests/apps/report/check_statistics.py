"""Computes with SciPy what apps/report/statistics/statistics.cpp computes. Reads {"baseline": […], "variant": […]} in lines, where
null is absent, and writes one line of figures for each: of the variant's mean, and of the paired difference. Without
SciPy it ends with 77."""
import json
import math
import sys

try:
    import numpy
    from scipy import special, stats
except ImportError:
    sys.exit(77)


def quantile(freedom):
    """97.5 % of Student's t. stats.t.ppf stops at nine digits, and the inverse of the beta function does not."""
    x = special.betaincinv(freedom / 2, 0.5, 0.05)
    return math.sqrt(freedom * (1 - x) / x)


def estimate(values):
    n = len(values)
    if n == 0:
        return {"n": 0, "mean": None, "deviation": None, "interval": None}
    mean = float(numpy.mean(values))
    if n == 1:
        return {"n": 1, "mean": mean, "deviation": None, "interval": None}
    half = quantile(n - 1) * float(stats.sem(values))
    deviation = float(numpy.std(values, ddof=1))
    return {"n": n, "mean": mean, "deviation": deviation, "interval": [mean - half, mean + half]}


def figures(baseline, variant):
    pairs = [(a, b) for a, b in zip(baseline, variant) if a is not None and b is not None]
    result = {"mean": estimate([value for value in variant if value is not None]),
              "difference": estimate([b - a for a, b in pairs]), "p": None}
    if len(pairs) > 1:
        with numpy.errstate(all="ignore"):
            p = float(stats.ttest_rel([b for _, b in pairs], [a for a, _ in pairs]).pvalue)
        result["p"] = None if math.isnan(p) else p
    return result


for line in sys.stdin:
    print(json.dumps(figures(**json.loads(line))))
