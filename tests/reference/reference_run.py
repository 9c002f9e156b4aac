"""A reference run on disk: the input of `granule train --init-from` from a user of other software, and the expected
result. h5py writes shards, numpy writes weights, and oracle.py computes the numbers.

    DIR/model/         config.json, safetensors in one or several files
    DIR/data/          train-*.h5 with only /data, no manifest
    DIR/run.toml       names them by relative paths
    DIR/expected.json  for each step the numbers of metrics.jsonl and router.bin, and how near the routing was to a tie
    DIR/update.safetensors  trained weights minus initial weights (f32)
"""
import copy
import json
import pathlib

import h5py
import numpy

import oracle
from safetensors_file import from_bf16, to_bf16, write_safetensors

SPEC = {
    "config": {},          # keys of config.json that matter; null as None
    "absent": [],          # keys that config.json leaves out; their values must be the class's defaults
    "extra": {},           # keys that mean nothing here
    "no_model_type": False,
    "weights": {"dtype": "F32", "files": 1},
    "shards": [{"tokens": 400, "dtype": "uint16"}],  # or "chunks", "gzip"
    "toml": {},            # tables of run.toml; [data] path and seq_len are added
    "seq_len": 16,
    "seed": 0,
    "spread": 0.08,        # of the initial weights
    "bias_level": 0.0,     # added to every bias on the choice, which has no effect
    "flat_experts": [],    # experts whose row of the router is zero, and that are chosen often: tokens tie for them
}
RUN_DEFAULTS = {
    "optim": {"lr": 3e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "decay_norms": False,
              "grad_clip": 1.0},
    "schedule": {"kind": "warmup_step_decay", "warmup": 0, "decay_by": 0.316, "min_lr": 0.0},
    "train": {"batch_size": 16, "micro_batch_size": 1},
}


def stored_as(spec):
    """A bias on the choice is float32 in files of any type, as in the published files."""
    return lambda name: "F32" if name.endswith("e_score_correction_bias") else spec["weights"]["dtype"]


def start_weights(c, spec, random):
    """Values that the file's type can represent exactly. Norms and biases also differ from their usual 1 and 0."""
    weights = {}
    for name, shape in {**oracle.shapes(c), **oracle.state_shapes(c)}.items():
        if len(shape) == 1:
            values = (1.0 if "norm" in name else 0.0) + 0.2 * random.standard_normal(shape)
            if name.endswith("e_score_correction_bias"):
                values += spec["bias_level"]
                values[spec["flat_experts"]] += 0.5
        else:
            wide = 6.0 if name.endswith("mlp.gate.weight") else 4.0 if "embed" in name else 1.0
            values = spec["spread"] * wide * random.standard_normal(shape)
            if name.endswith("mlp.gate.weight"):
                values[spec["flat_experts"]] = 0.0
        values = values.astype("f4")
        kind = stored_as(spec)(name)
        weights[name] = from_bf16(to_bf16(values)) if kind == "BF16" else values.astype("f2" if kind == "F16" else "f4")
    return weights


def write_model(directory, spec, weights):
    directory.mkdir()
    named = {} if spec["no_model_type"] else {"architectures": ["DeepseekForCausalLM"], "model_type": "deepseek"}
    document = {**named, **{k: v for k, v in spec["config"].items() if k not in spec["absent"]},
                **spec["extra"]}
    (directory / "config.json").write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    files, kind = spec["weights"]["files"], stored_as(spec)
    names = sorted(weights)  # as frameworks do it, and not in the order of the modules
    if files == 1:
        write_safetensors(directory / "model.safetensors", {n: weights[n] for n in names}, kind, {"format": "pt"})
        return
    index = {"metadata": {"total_size": sum(weights[n].nbytes for n in names)}, "weight_map": {}}
    for i in range(files):
        name = f"model-{i + 1:05}-of-{files:05}.safetensors"
        part = names[i::files]
        write_safetensors(directory / name, {n: weights[n] for n in part}, kind, {"format": "pt"})
        index["weight_map"].update({n: name for n in part})
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1, sort_keys=True))


def write_shards(directory, spec, vocab, random):
    """Returns a stream with a skewed distribution and repetitions, so that there is something to learn."""
    directory.mkdir()
    stream = []
    for i, shard in enumerate(spec["shards"]):
        tokens = (vocab * random.random(shard["tokens"]) ** 2).astype(shard["dtype"])
        tokens[1::3] = (tokens[: len(tokens[1::3])] * 7 + 3) % vocab
        stream += [int(t) for t in tokens]
        options = {"chunks": (min(shard["chunks"], len(tokens)),)} if "chunks" in shard else {}
        if shard.get("gzip"):
            options.update(compression="gzip", compression_opts=shard["gzip"], shuffle=shard.get("shuffle", False))
        with h5py.File(directory / f"train-{i:05}.h5", "w", libver=shard.get("libver", "earliest")) as file:
            file.create_dataset("data", data=tokens, **options)
    return stream


def toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value)


def write_toml(path, tables):
    lines = []
    for table, keys in tables.items():
        lines += [f"[{table}]", *(f"{k} = {toml_value(v)}" for k, v in keys.items()), ""]
    path.write_text("\n".join(lines))


def in_steps(period, total):
    if not isinstance(period, float):
        return period
    return max(1, int(period * total + 0.5)) if period else 0


def resolved(spec):
    """The run in the form of the oracle: run.toml over the defaults of docs/config.md, with periods in steps."""
    tables = {t: {**keys, **spec["toml"].get(t, {})} for t, keys in RUN_DEFAULTS.items()}
    train, schedule = tables["train"], tables["schedule"]
    total = train["steps"]
    default = {"warmup_step_decay": [0.8, 0.9], "wsd": [0.8]}.get(schedule["kind"], [])
    points = schedule.get("decay_at", default)
    schedule["decay_at"] = [in_steps(p, total) for p in (points if isinstance(points, list) else [points])]
    schedule["warmup"] = in_steps(schedule["warmup"], total)
    return {**tables["optim"], "schedule": schedule, "steps": total, "batch": train["batch_size"],
            "micro": train["micro_batch_size"], "seq_len": spec["seq_len"]}


def complete(spec):
    return {**copy.deepcopy(SPEC), **copy.deepcopy(spec)}


def effective_config(spec):
    """config.json, overridden by the tables [model] and [moe] of run.toml."""
    config = dict(spec["config"])
    for table in ("model", "moe"):
        config.update(spec["toml"].get(table, {}))
    return config


def write_case(directory, spec):
    """Writes everything except the expected results. Returns what oracle.train needs."""
    directory, spec = pathlib.Path(directory), complete(spec)
    random = numpy.random.RandomState(spec["seed"])
    config = effective_config(spec)
    c = oracle.with_defaults(config)
    directory.mkdir(parents=True)
    weights = start_weights(c, spec, random)
    write_model(directory / "model", spec, weights)
    stream = write_shards(directory / "data", spec, c["vocab_size"], random)
    tables = {t: dict(k) for t, k in spec["toml"].items()}
    tables["data"] = {"path": "data", "seq_len": spec["seq_len"], "shuffle": False, **tables.get("data", {})}
    write_toml(directory / "run.toml", tables)
    return config, weights, stream, resolved(spec)


def samples_per_epoch(stream, run):
    return (len(stream) - 1) // run["seq_len"]


def write_expectation(directory, weights, stream, run, steps, trained):
    per_step = run["batch"]
    rows = [{"step": k + 1, "tokens": (k + 1) * per_step * run["seq_len"],
             "epoch": (k + 1) * per_step / samples_per_epoch(stream, run),
             "ce": s.ce, "aux": s.aux, "device_aux": s.device_aux, "z": s.z, "router_entropy": s.router_entropy,
             "dropped": s.dropped, "counts": s.counts, "lr": s.lr, "grad_norm": s.grad_norm}
            for k, s in enumerate(steps)]
    margin = min(s.margin for s in steps)
    margin = "null" if margin == float("inf") else margin
    text = ",\n  ".join(json.dumps(row) for row in rows)
    directory = pathlib.Path(directory)
    (directory / "expected.json").write_text(f'{{"margin": {margin}, "steps": [\n  {text}]}}\n')
    update = {n: (trained[n] - weights[n].astype("f8")).astype("f4") for n in weights}
    write_safetensors(directory / "update.safetensors", update, "F32")
