"""Compares random reference runs with the program.

Usage: python3 fuzz.py build/release/apps/granule --runs 100 [--seed 0]
It prints each run's worst relative differences. It stops at the first one that is out of bounds, and keeps its directory."""
import argparse
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
import torch

import oracle
from reference_run import write_case
from safetensors_file import read_safetensors


def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


def random_router(pick, experts):
    """Keys of [moe] that the published class does not have, and K."""
    groups = pick(1, *divisors(experts))
    kept = pick(*range(1, groups + 1))
    return {
        "scoring_func": pick("softmax", "sigmoid"), "norm_topk_prob": pick(True, False), "n_group": groups,
        "topk_group": kept, "num_experts_per_tok": pick(*range(1, experts // groups * kept + 1)),
        "routed_scaling_factor": pick(1.0, 1.0, 2.5, 0.3), "z_loss_alpha": pick(0.0, 0.001, 0.3),
        "bias_update_speed": pick(0.0, 0.001, 0.03), "capacity_factor": pick(0.0, 0.0, 0.3, 0.8, 1.0, 1.1, 1.25, 2.0),
        **pick({}, *({"device_groups": d, "device_loss_alpha": a}
                     for d in divisors(experts) if d > 1 for a in (0.0, 0.05, 2.0)))}


def overridden(pick, config):
    """Moves some keys from config.json, which still describes a model, to run.toml."""
    together = [("num_experts_per_tok", "n_group", "topk_group"), ("device_groups", "device_loss_alpha"),
                *((k,) for k in ("norm_topk_prob", "routed_scaling_factor", "z_loss_alpha",
                                 "bias_update_speed", "capacity_factor", "seq_aux", "aux_loss_alpha"))]
    above = {k: config.pop(k) for keys in together if pick(True, False, False) for k in keys if k in config}
    config.setdefault("num_experts_per_tok", 1)
    return above


def random_spec(seed):
    r = numpy.random.RandomState(seed)

    def pick(*values):
        return values[r.randint(len(values))]

    heads = pick(1, 2, 4, 6)
    h = heads * pick(2, 4, 6, 8, 10)
    layers, experts = pick(1, 2, 3, 4), pick(None, 0, 2, 4, 5, 6, 8, 8, 12)
    first, freq = pick(0, 0, 1, 2), pick(1, 1, 2, 3)
    if not any(l >= first and l % freq == 0 for l in range(layers)):
        first, freq = 0, 1
    length = pick(3, 8, 13, 16, 24)
    micro = pick(1, 2, 3, 4)
    steps = pick(3, 4, 6)
    kind = pick("warmup_step_decay", "cosine", "wsd", "constant")
    schedule = {"kind": kind, "warmup": pick(0, 1, 2, 0.34)}
    if kind == "warmup_step_decay":
        schedule.update(pick({}, {"decay_at": [2, 3], "decay_by": 0.5}, {"decay_at": [0.5]}))
    if kind in ("cosine", "wsd"):
        schedule.update(pick({}, {"min_lr": 1e-4}))
    config = {
        "vocab_size": pick(32, 61, 64, 97, 130), "hidden_size": h, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": pick(*[k for k in (1, 2, 3, 6) if heads % k == 0]),
        "intermediate_size": pick(24, 33, 40), "max_position_embeddings": pick(24, 64, 2048),
        "rms_norm_eps": pick(1e-6, 1e-5, 1e-2), "rope_theta": pick(10000.0, 10000, 50.0, 1e6),
        "attention_bias": pick(True, False), "tie_word_embeddings": pick(True, False), "n_routed_experts": experts,
        "first_k_dense_replace": first, "moe_layer_freq": freq}
    if experts:
        config.update(n_shared_experts=pick(None, 0, 1, 2), moe_intermediate_size=pick(8, 12, 7),
                      seq_aux=pick(True, False), aux_loss_alpha=pick(0.0, 0.01, 0.5, 3.0))
        router = random_router(pick, experts)
        config.update(router)
        above = overridden(pick, config)
        flat = [r.randint(experts)] if router["scoring_func"] == "sigmoid" and pick(True, False) else []
    spec = {
        "config": config, "seq_len": length, "seed": seed, "spread": pick(0.05, 0.1, 0.3), "bias_level": pick(0.0, -1.0),
        "weights": {"dtype": pick("F32", "BF16", "F16"), "files": pick(1, 1, 3)},
        "shards": [{"tokens": int(r.randint(length + 2, 400)), "dtype": pick("uint16", "uint32", "int32", "int64"),
                    **pick({}, {"chunks": 64}, {"chunks": 37, "gzip": 4}, {"chunks": 1000, "gzip": 9, "shuffle": True},
                           {"libver": "latest"})}
                   for _ in range(pick(1, 2, 4))],
        "toml": {"optim": {"lr": pick(1e-3, 1e-2), "betas": pick([0.9, 0.95], [0.8, 0.999], [0.0, 0.9]),
                           "eps": pick(1e-8, 1e-4), "weight_decay": pick(0.0, 0.1, 1.0),
                           "decay_norms": pick(True, False), "grad_clip": pick(0.0, 0.1, 1.0, 100.0)},
                 "schedule": schedule,
                 "train": {"steps": steps, "batch_size": micro * pick(1, 2, 4), "micro_batch_size": micro,
                           "threads": pick(1, 2), "recompute": pick("none", "moe", "full")}},
    }
    if experts:
        spec["toml"]["moe"], spec["flat_experts"] = above, flat
    return spec


def router_counts(run):
    """[step][layer][expert]. A dense model has none."""
    if not (run / "router.bin").exists():
        return []
    raw = open(run / "router.bin", "rb").read()
    head = json.loads(raw[:4096])
    shape = (-1, len(head["layers"]), head["experts"])
    return numpy.frombuffer(raw, "<i4", offset=head["header_bytes"]).reshape(shape).tolist()


def read_run(run):
    rows = [json.loads(line) for line in open(run / "metrics.jsonl")]
    for row, record in zip(rows, router_counts(run)):
        row["counts"] = record
    newest = sorted((run / "checkpoints").glob("step-*"))[-1]
    weights = {}
    for path in sorted(newest.glob("model*.safetensors")):
        weights.update(read_safetensors(path)[0])
    return rows, weights


LOSSES = ("ce", "aux", "device_aux", "z", "router_entropy")


def differences(rows, weights, steps, trained):
    worst = {k: 0.0 for k in (*LOSSES, "lr", "grad_norm", "weights", "bias", "counts")}
    assert len(rows) == len(steps) and [row["step"] for row in rows] == list(range(1, len(steps) + 1))
    for row, step in zip(rows, steps):
        for key in (*LOSSES, "lr", "grad_norm"):
            want, got = getattr(step, key), row.get(key, 0.0)
            worst[key] = max(worst[key], abs(got - want) / abs(want) if want else abs(got))
        if row.get("counts", []) != step.counts or row.get("dropped", 0) != step.dropped:
            worst["counts"] += 1  # steps in which a token went to another expert
    assert set(weights) == set(trained), set(weights) ^ set(trained)
    for name, want in trained.items():
        key = "bias" if name.endswith("correction_bias") else "weights"
        worst[key] = max(worst[key], float(numpy.abs(weights[name] - want).max()))
    return worst


F64_LIMITS = {**{k: 1e-10 for k in LOSSES}, "lr": 1e-14, "grad_norm": 1e-9, "weights": 1e-8, "bias": 0.0, "counts": 0}
# What float32 may always cost. If a run amplifies rounding more, it may differ 20 times as far as the oracle does in
# float32. Single weights are not compared, because AdamW turns the rounding of a gradient near zero into a full step.
F32_LIMITS = {**{k: 1e-6 for k in LOSSES}, "lr": 1e-14, "grad_norm": 1e-5, "bias": 0.0, "counts": 0}
TIE = 2e-5  # if scores are nearer than this, float32 may choose differently
RELATIVE_TIE = 1e-12  # the same in float64: two tokens with the same past are equal except for rounding


def out_of_bounds(dtype, worst, case, steps, trained):
    if dtype == "f64":
        return min(s.relative_margin for s in steps) > RELATIVE_TIE and any(worst[k] > limit for k, limit in F64_LIMITS.items())
    if min(s.margin for s in steps) < TIE or all(worst[k] <= limit for k, limit in F32_LIMITS.items()):
        return False
    single, weights = oracle.train(*case, torch.float32)
    own = differences([dataclasses.asdict(s) | {"step": i + 1} for i, s in enumerate(single)], weights, steps, trained)
    return any(worst[k] > max(limit, 20 * own[k]) for k, limit in F32_LIMITS.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtypes", nargs="+", default=["f64", "f32"])
    parser.add_argument("--keep-going", action="store_true")
    arguments = parser.parse_args()
    largest = {dtype: {} for dtype in arguments.dtypes}
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="reference-")) / "case"
        spec = random_spec(seed)
        config, weights, stream, run = write_case(directory, spec)
        steps, trained = oracle.train(config, weights, stream, run)
        margin, relative = (min(getattr(s, k) for s in steps) for k in ("margin", "relative_margin"))
        good = True
        for dtype in arguments.dtypes:
            out = directory / dtype
            done = subprocess.run([arguments.program, "train", str(directory / "run.toml"), f"train.dtype={dtype}",
                                   "--init-from", str(directory / "model"), "--out", str(out)],
                                  capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{seed} {directory}: {done.returncode} {done.stderr}")
            worst = differences(*read_run(out), steps, trained)
            print(seed, dtype, "  ".join(f"{k} {v:.1e}" for k, v in worst.items()), f"margin {margin:.1e} {relative:.1e}", flush=True)
            if out_of_bounds(dtype, worst, (config, weights, stream, run), steps, trained):
                good = False
                print(f"out of bounds: {directory}", flush=True)
                if not arguments.keep_going:
                    sys.exit(1)
                continue
            for key, value in worst.items():
                if relative > RELATIVE_TIE if dtype == "f64" else margin >= TIE:
                    largest[dtype][key] = max(largest[dtype].get(key, 0.0), value)
        if good:
            shutil.rmtree(directory.parent)
    for dtype, values in largest.items():
        print("worst", dtype, "  ".join(f"{k} {v:.1e}" for k, v in values.items()))


if __name__ == "__main__":
    main()
