"""Makes documents of reports with figures that a test can compute, and pages from them as the build does."""
import json
import math
import os
import re

WEB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../apps/report/web")
T_OF_3_SEEDS = 4.302652729911275  # 97.5 % of Student's t with two degrees of freedom


def read(name):
    with open(os.path.join(WEB, name), encoding="utf-8") as file:
        return file.read()


def page(document):
    names = read("files.txt").split()
    parts = {"STYLE": "\n".join(read(name) for name in names if name.endswith(".css")),
             "SCRIPT": "\n".join(read(name) for name in names if name.endswith(".js")),
             "DATA": json.dumps(document, ensure_ascii=False).replace("<", "\\u003c")}
    return re.sub(r"/\*(STYLE|SCRIPT|DATA)\*/", lambda marker: parts[marker[1]], read("page.html"))


def loss(variant, seed, step, offset=0.0):
    return 4 + 3 / step + 0.05 * variant * (-1) ** variant + 0.004 * seed * (1 + variant % 2) + offset


def run(variant, seed, index, steps, every, layers, experts):
    at = list(range(every, steps + 1, every))
    place = {"step": at, "tokens": [step * 1024 for step in at], "flops": [step * 2.5e9 for step in at],
             "hours": [step / 1800 for step in at]}
    ce = [loss(variant, seed, step) for step in at]
    val = [loss(variant, seed, step, 0.1) for step in at]
    series = {**place, "ce": ce, "aux": [1 + 1 / step for step in at], "lr": [1e-3 / step for step in at],
              "grad_norm": [2.0 + step / 100 for step in at], "load_max_over_mean": [1 + 2 / step for step in at],
              "load_cv": [0.5 / step for step in at], "dead_experts": [float(step % 3) for step in at],
              "router_entropy": [1.2 for _ in at], "balance_over_ce": [0.01 * step for step in at],
              "tokens_per_second": [12000.0 + 10 * step for step in at], "mfu": [0.4 for _ in at],
              "peak_bytes": [64 * 2 ** 20 for _ in at], "dropped": [0 for _ in at]}
    validation = {**place, "val_ce": val, "val_perplexity": [math.exp(value) for value in val],
                  "val_bits_per_byte": [value / 2 for value in val]}
    share = [[[(1 + layer + bin_ + expert) % 4 for expert in range(experts)] for bin_ in range(len(at))]
             for layer in range(layers)]
    final = {key: column[-1] for key, column in {**series, **validation}.items() if key not in place}
    return {"name": f"variant-{variant},seed-{seed}", "path": f"cells/variant-{variant},seed-{seed}", "variant": variant,
            "seed": seed, "state": "complete", "error": None, "step": steps, "steps": steps,
            "config": {"moe.aux_loss_alpha": variant / 1000}, "parameters": {"total": 4_000_000 + variant * 250_000,
            "activated": 1_000_000 + variant * 50_000}, "tokens": steps * 1024, "flops": steps * 2.5e9,
            "hours": steps / 1800, "final": {**final, "skips": 0}, "series": series, "validation": validation,
            "load": {"layers": list(range(1, layers + 1)), "experts": experts, "steps": at, "share": share},
            "by_expert": None}


def interval(values):
    mean = sum(values) / len(values)
    if len(values) != 3:
        return mean, None
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    half = T_OF_3_SEEDS * deviation / math.sqrt(3)
    return mean, [mean - half, mean + half]


def compare(runs, baseline, variant):
    if baseline == variant:
        return None
    of = lambda which: {one["seed"]: one["final"]["val_ce"] for one in runs if one["variant"] == which}
    mean, bounds = interval([of(variant)[seed] - of(baseline)[seed] for seed in of(variant)])
    return {"n": len(of(variant)), "mean": mean, "interval": bounds, "p": 0.5 if bounds else None,
            "test": "paired t-test, two-sided", "sentence": f"The difference of {variant} from {baseline} is {mean:.6f} nats."}


def by_expert(layers, experts):
    def one(expert):
        return {"expert": expert, "load": 100 * (expert + 1), "weight": 0.25,
                "tokens": [{"id": 7, "piece": f"\u2581word{expert}", "count": 10, "share_of_token": 0.5, "lift": 2.5}],
                "classes": {"word start": 0.75, "number": 0.25},
                "documents": [{"document": 3, "name": f"text {expert}", "count": 4, "lift": 1.5}]}
    together = [[0 if row == column else 50 + row + column for column in range(experts)] for row in range(experts)]
    return {"format": "granule-by-expert/1", "model": "m", "data": "d", "split": "val", "tokens": 1000,
            "layers": list(range(1, layers + 1)), "experts": experts, "experts_per_token": 2,
            "by_layer": [{"layer": layer, "experts": [one(expert) for expert in range(experts)], "together": together}
                         for layer in range(1, layers + 1)]}


def document(variants=3, seeds=3, steps=40, every=4, layers=2, experts=4):
    pairs = [(variant, seed) for variant in range(variants) for seed in range(seeds)]
    runs = [run(variant, seed, index, steps, every, layers, experts) for index, (variant, seed) in enumerate(pairs)]
    runs[0]["by_expert"] = by_expert(layers, experts)

    def variant_of(index):
        mine = [place for place, (variant, _) in enumerate(pairs) if variant == index]
        mean, bounds = interval([runs[place]["final"]["val_ce"] for place in mine])
        return {"name": f"variant-{index}", "label": f"Variant {index}", "values": runs[mine[0]]["config"], "runs": mine,
                "n": len(mine), "mean": mean, "deviation": None, "interval": bounds, "sentence": ""}
    return {"format": "granule-report/1", "version": "0.1.0", "created": "2026-11-28T23:04:00Z", "title": "A test of α",
            "metric": {"key": "val_ce", "name": "validation cross-entropy", "unit": "nats"},
            "keys": ["moe.aux_loss_alpha"], "runs": runs, "variants": [variant_of(index) for index in range(variants)],
            "comparisons": [[compare(runs, baseline, variant) for variant in range(variants)]
                            for baseline in range(variants)], "watching": False, "refresh_seconds": None}
