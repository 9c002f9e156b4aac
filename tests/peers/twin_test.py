"""Compares one training step of the PyTorch model (torch_moe.py) with Granule's: losses, gradients and new weights.

Usage: twin_test.py PROGRAM
Granule trains a model for two steps and exports it. Then both start from the exported weights and take one step on the
same tokens, in float64 and in float32. The exit code is 77 without PyTorch or h5py.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../reference"))
try:
    import h5py
    import numpy
    import torch
except ImportError as error:
    print(f"SKIPPED: {error.name} is not installed (packages python3-torch, python3-h5py)")
    sys.exit(77)

import torch_moe
from safetensors_file import read_safetensors

BENCH_LIKE = """
[model]
vocab_size = 61
hidden_size = 32
num_hidden_layers = 3
num_attention_heads = 4
intermediate_size = 40
max_position_embeddings = 16
initializer_range = 0.1
[moe]
n_routed_experts = 8
num_experts_per_tok = 3
n_shared_experts = 2
moe_intermediate_size = 12
first_k_dense_replace = 1
aux_loss_alpha = 0.5
[train]
batch_size = 4
micro_batch_size = 4
"""
OTHERWISE = """
[model]
vocab_size = 61
hidden_size = 32
num_hidden_layers = 3
num_attention_heads = 4
num_key_value_heads = 2
intermediate_size = 40
max_position_embeddings = 16
initializer_range = 0.1
rms_norm_eps = 1e-3
rope_theta = 50.0
attention_bias = true
tie_word_embeddings = true
[moe]
n_routed_experts = 6
num_experts_per_tok = 2
moe_intermediate_size = 12
moe_layer_freq = 2
norm_topk_prob = true
routed_scaling_factor = 2.5
seq_aux = false
aux_loss_alpha = 0.5
[optim]
grad_clip = 0.1
decay_norms = true
[train]
batch_size = 4
micro_batch_size = 2
"""
REST = """
[data]
path = "data"
seq_len = 16
shuffle = false
[optim]
lr = 1e-3
[schedule]
kind = "constant"
"""
# Relative differences that another order of the same sums explains: those of `granule verify`. Weights are compared
# in float64 only, because AdamW turns the rounding of a gradient near zero into a whole step. There a gradient's
# rounding of 1e-17 moves a weight by at most lr / eps = 1e5 times as much.
BOUNDS = {"f64": {"losses": 1e-12, "norm": 1e-11, "gradients": 1e-10, "weights": 1e-11},
          "f32": {"losses": 1e-6, "norm": 2e-5, "gradients": 1e-4}}
# Values in bfloat16 have errors of 2^-9. In a model as small as this they change the cross-entropy by less than 1 %, but
# by more than an order of float32 sums does.
AUTOCAST_BOUND = 1e-2


def merged(*texts):
    """One TOML file of several, whose tables may repeat."""
    tables = {}
    for line in "\n".join(texts).splitlines():
        if line.startswith("["):
            table = tables.setdefault(line, [])
        elif line:
            table.append(line)
    return "".join("\n".join([name, *lines, ""]) for name, lines in tables.items())


def run(program, *words):
    done = subprocess.run([program, *map(str, words)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tensors_of(directory, pattern):
    found = {}
    for path in sorted(directory.glob(pattern)):
        found.update(read_safetensors(path)[0])
    return found


def prepare(program, work, text):
    """Data, a config, and a model that Granule trained for two steps and exported. Returns the tokens."""
    (work / "data").mkdir()
    tokens = (61 * numpy.random.RandomState(1).random(400) ** 2).astype("uint16")
    with h5py.File(work / "data/train-00000.h5", "w") as file:
        file.create_dataset("data", data=tokens)
    (work / "run.toml").write_text(merged(text, REST))
    run(program, "train", work / "run.toml", "train.steps=2", "--out", work / "start")
    run(program, "export", work / "start", "--format", "hf", "--out", work / "model")
    return torch.tensor(tokens[:65].astype("int64"))


def granule_step(program, work, dtype):
    """One step of Granule: its record, and the weights and first moments of its checkpoint."""
    out = work / dtype
    run(program, "train", work / "run.toml", f"train.dtype={dtype}", "train.steps=1", "checkpoint.every=1",
        "--init-from", work / "model", "--out", out)
    record = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    checkpoint = out / "checkpoints/step-00000001"
    return record, tensors_of(checkpoint, "model*.safetensors"), tensors_of(checkpoint, "optim*.safetensors")


def load(model, tensors):
    names = [name for name, _, _ in model.parts()]
    assert sorted(names) == sorted(tensors), set(names) ^ set(tensors)
    with torch.no_grad():
        for name, parameter, rows in model.parts():
            parameter[rows].copy_(torch.tensor(tensors[name]))


def torch_step(config, work, tokens, dtype, dispatch, autocast=False):
    torch.set_default_dtype({"f64": torch.float64, "f32": torch.float32}[dtype])
    model = torch_moe.Model(config, dispatch)
    load(model, tensors_of(work / "model", "*.safetensors"))
    rows = torch.stack([tokens[16 * i : 16 * i + 17] for i in range(4)])
    optimizer = torch_moe.make_optimizer(model, config, foreach=True)
    return model, torch_moe.train_step(model, optimizer, config, rows[:, :-1], rows[:, 1:], autocast)


def relative(got, wanted):
    """The largest difference, divided by the largest value."""
    return float(abs(got - wanted).max() / max(abs(wanted).max(), 1e-30))


def compare(config, ours, theirs, dtype):
    """Ends at the first difference that is out of bounds. Returns the largest one of each kind."""
    (record, weights, moments), (model, (ce, aux, norm)), bounds = ours, theirs, BOUNDS[dtype]
    worst = {"losses": max(abs(ce / record["ce"] - 1), abs(aux / record["aux"] - 1)),
             "norm": abs(norm / record["grad_norm"] - 1), "gradients": 0.0, "weights": 0.0}
    kept = 1 - config["optim"]["betas"][0]  # after one step, the first moment is this share of the gradient
    for name, parameter, rows in model.parts():
        gradient = parameter.grad[rows].numpy()
        worst["gradients"] = max(worst["gradients"], relative(moments["exp_avg." + name] / kept, gradient))
        worst["weights"] = max(worst["weights"], relative(weights[name], parameter[rows].detach().numpy()))
    for kind, bound in bounds.items():
        assert worst[kind] <= bound, f"{kind} differ by {worst[kind]:.1e}, and {bound:.0e} is allowed"
    return worst


def check(program, text):
    with tempfile.TemporaryDirectory(prefix="granule-test-") as place:
        work = pathlib.Path(place)
        tokens = prepare(program, work, text)
        config = json.loads(run(program, "train", work / "run.toml", "--dry-run"))["config"]
        for dtype in BOUNDS:
            ours = granule_step(program, work, dtype)
            for dispatch in torch_moe.DISPATCHES:
                theirs = torch_step(config, work, tokens, dtype, dispatch)
                worst = compare(config, ours, theirs, dtype)
                print(dtype, dispatch, "  ".join(f"{kind} {value:.1e}" for kind, value in worst.items()), flush=True)
        for dispatch in torch_moe.DISPATCHES:
            _, (ce, _, _) = torch_step(config, work, tokens, "f32", dispatch, autocast=True)
            difference = abs(ce / ours[0]["ce"] - 1)
            assert BOUNDS["f32"]["losses"] < difference < AUTOCAST_BOUND, f"autocast changes the cross-entropy by {difference:.1e}"
            print("bf16", dispatch, f"cross-entropy {difference:.1e}")


torch.set_num_threads(1)
for text in (BENCH_LIKE, OTHERWISE):
    check(sys.argv[1], text)
