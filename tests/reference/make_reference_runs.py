"""Writes the reference runs of tests/fixtures/reference_runs: python3 make_reference_runs.py [NAME ...]

Each case is drawn again with the next seed until no router score is near a tie. Then float32 routes as float64 does.
It prints how far the same arithmetic in float32 differs. The tests' tolerances are based on these figures."""
import math
import pathlib
import shutil
import sys
import tempfile

import numpy
import torch

import oracle
from reference_run import write_case, write_expectation

OUT = pathlib.Path(__file__).parent.parent / "data" / "reference_runs"
MARGIN = 2e-5  # a float32 score is wrong by about 1e-7, and after these few steps by about 1e-6


def model(layers, heads, kv, vocab, **more):
    return {"vocab_size": vocab, "hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv, "max_position_embeddings": 64, **more}


def experts(count, k, shared, alpha, **more):
    return {"n_routed_experts": count, "num_experts_per_tok": k, "n_shared_experts": shared,
            "moe_intermediate_size": 6, "aux_loss_alpha": alpha, **more}


def train(steps, micro, **more):
    return {"steps": steps, "batch_size": 8, "micro_batch_size": micro, **more}


CASES = {
    # Sequence-level loss over four micro-batches, the paper's schedule, and a config.json with everything in it.
    "sequence_level": {
        "config": {**model(2, 4, 4, 64, intermediate_size=40),
                   **experts(6, 2, 2, 0.05, first_k_dense_replace=1, moe_layer_freq=1, seq_aux=True,
                             norm_topk_prob=False),
                   "attention_bias": False, "tie_word_embeddings": False, "rms_norm_eps": 1e-6, "rope_theta": 10000,
                   "initializer_range": 0.02},
        "extra": {"attention_dropout": 0.0, "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekConfig"},
                  "bos_token_id": 0, "eos_token_id": 1, "hidden_act": "silu", "pad_token_id": None,
                  "pretraining_tp": 1, "rope_scaling": None, "scoring_func": "softmax", "torch_dtype": "float32",
                  "transformers_version": "4.36.0", "use_cache": True},
        "weights": {"dtype": "BF16", "files": 1},
        "shards": [{"tokens": 1300, "dtype": "uint16"}],
        "toml": {"optim": {"lr": 5e-3, "grad_clip": 0.4},
                 "schedule": {"warmup": 2, "decay_at": [0.5, 5], "decay_by": 0.5}, "train": train(6, 2)}},
    # The unit of the token-level loss is the micro-batch. Grouped queries; norms decay; strong clipping.
    "token_level": {
        "config": {**model(2, 4, 2, 67, intermediate_size=40),
                   **experts(6, 3, 1, 0.5, seq_aux=False, norm_topk_prob=True)},
        "shards": [{"tokens": 900, "dtype": "uint32"}, {"tokens": 500, "dtype": "uint16"}],
        "toml": {"optim": {"lr": 1e-2, "decay_norms": True, "weight_decay": 0.5, "grad_clip": 0.25},
                 "schedule": {"kind": "constant"}, "train": train(5, 2)}},
    # One key-value head, biases, tied embedding, bfloat16 in three files, no clipping, cosine.
    "mqa_bias_tied": {
        "config": {**model(2, 4, 1, 97, intermediate_size=36, attention_bias=True, tie_word_embeddings=True),
                   **experts(5, 2, 1, 0.1, first_k_dense_replace=1)},
        "weights": {"dtype": "BF16", "files": 3}, "seq_len": 20,
        "shards": [{"tokens": 1200, "dtype": "int32", "chunks": 256, "gzip": 4}],
        "toml": {"optim": {"lr": 4e-3, "decay_norms": True, "grad_clip": 0.0},
                 "schedule": {"kind": "cosine", "warmup": 1, "min_lr": 4e-4}, "train": train(5, 4)}},
    # The same, but norms and biases do not decay, and the initial weights are IEEE halves.
    "bias_without_decay": {
        "config": {**model(2, 2, 2, 71, intermediate_size=33, attention_bias=True),
                   **experts(4, 2, None, 0.2, first_k_dense_replace=1, norm_topk_prob=True)},
        "weights": {"dtype": "F16", "files": 2}, "seq_len": 16,
        "shards": [{"tokens": 700, "dtype": "int32"}],
        "toml": {"optim": {"lr": 1e-2, "decay_norms": False, "weight_decay": 2.0},
                 "schedule": {"kind": "wsd", "decay_at": 2, "min_lr": 1e-3}, "train": train(5, 2)}},
    # MoE at layers 0 and 2 of four, no shared experts, layers are recomputed.
    "every_second_layer": {
        "config": {**model(4, 4, 2, 65, intermediate_size=17, tie_word_embeddings=True),
                   **experts(4, 2, 0, 0.3, moe_layer_freq=2)},
        "weights": {"dtype": "BF16", "files": 1}, "seq_len": 24,
        "shards": [{"tokens": 1100, "dtype": "uint16", "chunks": 100}],
        "toml": {"optim": {"lr": 5e-3, "betas": [0.8, 0.99], "eps": 1e-6},
                 "schedule": {"kind": "warmup_step_decay", "warmup": 0.4},
                 "train": train(5, 2, recompute="full")}},
    # No experts: a dense model's config.json has null for their keys. Epochs wrap, with 21 samples.
    "dense_null": {
        "config": {**model(2, 4, 4, 64, intermediate_size=24), "n_routed_experts": None, "n_shared_experts": None,
                   "num_experts_per_tok": None, "moe_intermediate_size": None, "num_key_value_heads": None},
        "extra": {"rope_scaling": None, "head_dim": 8}, "seq_len": 16,
        "shards": [{"tokens": 101, "dtype": "uint16"},
                   {"tokens": 246, "dtype": "int32", "gzip": 9, "shuffle": True}],
        "toml": {"optim": {"lr": 5e-3, "grad_clip": 1000.0}, "train": train(6, 4)}},
    # One expert for each token, so norm_topk_prob has no effect, and idle experts decay. Epochs wrap within a batch,
    # with 5 samples.
    "top1_idle": {
        "config": {**model(2, 2, 1, 64, tie_word_embeddings=True),
                   **experts(16, 1, 1, 0.05, norm_topk_prob=True, seq_aux=False), "moe_intermediate_size": 3},
        "weights": {"dtype": "BF16", "files": 1}, "seq_len": 18,
        "shards": [{"tokens": 60, "dtype": "uint16"}, {"tokens": 3, "dtype": "uint16"},
                   {"tokens": 40, "dtype": "uint32"}],
        "toml": {"optim": {"lr": 5e-3, "weight_decay": 1.0}, "schedule": {"kind": "constant", "warmup": 3},
                 "train": train(4, 4)}},
    # The run's file overrides everything that keeps the shapes, and config.json says little.
    "overridden": {
        "config": {**model(2, 4, 4, 64, intermediate_size=40), **experts(6, 1, 1, 0.7)},
        "no_model_type": True, "absent": ["num_key_value_heads"],
        "weights": {"dtype": "BF16", "files": 1},
        "shards": [{"tokens": 800, "dtype": "uint16"}],
        "toml": {"model": {"rms_norm_eps": 1e-3, "rope_theta": 100.0, "max_position_embeddings": 16, "hidden_size": 32},
                 "moe": {"num_experts_per_tok": 3, "norm_topk_prob": True, "seq_aux": False, "aux_loss_alpha": 0.02},
                 "optim": {"lr": 5e-3}, "schedule": {"kind": "constant"}, "train": train(4, 2)}},
    # Only data, rate and length are given. Every default is the documented one (α 0.001, one sequence in a
    # micro-batch).
    "bare": {
        "config": {**model(2, 4, 2, 64, intermediate_size=40), **experts(6, 2, 1, 0.001)},
        "absent": ["aux_loss_alpha"], "weights": {"dtype": "BF16", "files": 1},
        "shards": [{"tokens": 1700, "dtype": "uint16"}],
        "toml": {"optim": {"lr": 3e-3}, "train": {"steps": 5}}},
    # α = 0: the loss is reported and has no effect. Odd widths, three threads.
    "no_balance_odd": {
        "config": {**model(2, 4, 4, 83, intermediate_size=21), "hidden_size": 40,
                   **experts(4, 3, 2, 0.0, first_k_dense_replace=1), "moe_intermediate_size": 7},
        "weights": {"dtype": "BF16", "files": 1}, "seq_len": 23,
        "shards": [{"tokens": 1000, "dtype": "uint16"}],
        "toml": {"optim": {"lr": 5e-3}, "train": train(4, 4, threads=3)}},
    # DeepSeek-V3's gate: sigmoid, two of four groups by their two best, and weights without the bias, which moves
    # four times. Biased scores are below zero, so the scores of an excluded group must be even lower.
    "v3_gate": {
        "config": {**model(2, 4, 2, 64, intermediate_size=24),
                   **experts(8, 3, 1, 0.05, first_k_dense_replace=1, norm_topk_prob=True, scoring_func="sigmoid",
                             n_group=4, topk_group=2, routed_scaling_factor=2.5, bias_update_speed=0.02)},
        "weights": {"dtype": "BF16", "files": 2}, "bias_level": -1.0,
        "shards": [{"tokens": 800, "dtype": "uint16"}],
        "toml": {"optim": {"lr": 5e-3}, "schedule": {"kind": "constant"}, "train": train(4, 2)}},
    # DeepSeek-V2's gate: groups by their best, and every loss at once. The grouped devices are not the groups of the
    # gate.
    "v2_all_losses": {
        "config": {**model(2, 2, 2, 64),
                   **experts(8, 3, 1, 0.1, n_group=4, topk_group=2, routed_scaling_factor=4.0, device_groups=2,
                             device_loss_alpha=0.4, z_loss_alpha=0.02, seq_aux=False)},
        "weights": {"dtype": "BF16", "files": 1},
        "shards": [{"tokens": 800, "dtype": "uint16"}],
        "toml": {"optim": {"lr": 5e-3}, "train": train(3, 2, recompute="moe")}},
    # Each expert has 33 places, for which 1.1 must not be more than 1.1. In the first step, all tokens of one expert
    # tie. The bias moves by what was chosen, and not by what was served.
    "capacity_with_ties": {
        "config": {**model(2, 4, 4, 64, intermediate_size=24),
                   **experts(6, 3, 0, 0.05, first_k_dense_replace=1, norm_topk_prob=True, scoring_func="sigmoid",
                             seq_aux=False, bias_update_speed=0.02)},
        "weights": {"dtype": "BF16", "files": 1}, "seq_len": 15, "flat_experts": [2],
        "shards": [{"tokens": 700, "dtype": "uint16"}],
        "toml": {"moe": {"capacity_factor": 1.1}, "optim": {"lr": 5e-3}, "train": train(3, 4, recompute="full")}},
    # One expert for each token, so there is no normalisation, and each group has one expert. The loss's unit is the
    # sequence, and the capacity's is the micro-batch.
    "top1_sigmoid_capacity": {
        "config": {**model(2, 2, 1, 64, tie_word_embeddings=True),
                   **experts(6, 1, 1, 0.2, norm_topk_prob=True, scoring_func="sigmoid", n_group=6, topk_group=4,
                             routed_scaling_factor=0.5, capacity_factor=0.8, z_loss_alpha=0.01)},
        "weights": {"dtype": "BF16", "files": 1},
        "shards": [{"tokens": 900, "dtype": "uint16"}],
        "toml": {"optim": {"lr": 5e-3}, "train": train(3, 2, threads=2)}},
    # Only the bias balances, with softmax scores. It counts over all four micro-batches, and moves after every step.
    "bias_balanced": {
        "config": {**model(3, 4, 2, 64, intermediate_size=24, tie_word_embeddings=True),
                   **experts(6, 2, 1, 0.0, first_k_dense_replace=1, bias_update_speed=0.05)},
        "weights": {"dtype": "BF16", "files": 1},
        "shards": [{"tokens": 900, "dtype": "uint16"}],
        "toml": {"optim": {"lr": 5e-3}, "train": train(5, 2)}},
}


def differences(steps, trained, start, other_steps, other_trained):
    """How float32 differs from float64: relative for scalars, and for the update its error's norm over its norm."""
    worst = {key: max(abs(getattr(a, key) - getattr(b, key)) / max(abs(getattr(a, key)), 1e-300)
                      for a, b in zip(steps, other_steps))
             for key in ("ce", "aux", "device_aux", "z", "router_entropy", "grad_norm")}
    worst["counts"] = sum(a.counts != b.counts or a.dropped != b.dropped for a, b in zip(steps, other_steps))
    square = lambda values: sum(float((v.astype("f8") ** 2).sum()) for v in values)
    error = square(trained[n] - other_trained[n] for n in trained)
    worst["update"] = math.sqrt(error / square(trained[n] - start[n] for n in trained))
    worst["weight"] = max(float(numpy.abs(trained[n] - other_trained[n]).max()) for n in trained)
    return worst


def make(name, spec):
    for seed in range(4000):
        directory = pathlib.Path(tempfile.mkdtemp()) / name
        config, weights, stream, run = write_case(directory, {**spec, "seed": seed})
        done = oracle.train(config, weights, stream, run, least_margin=MARGIN)
        if done:
            break
        shutil.rmtree(directory.parent)
    steps, trained = done
    single = differences(steps, trained, weights, *oracle.train(config, weights, stream, run, torch.float32))
    write_expectation(directory, weights, stream, run, steps, trained)
    shutil.rmtree(OUT / name, ignore_errors=True)
    shutil.copytree(directory, OUT / name)
    shutil.rmtree(directory.parent)
    size = sum(f.stat().st_size for f in (OUT / name).rglob("*") if f.is_file())
    clipped = sum(s.grad_norm > run["grad_clip"] > 0 for s in steps)
    print(f"{name:21} {size:7} bytes, seed {seed}, margin {min(s.margin for s in steps):.1e}, {clipped} of {len(steps)}"
          f" steps clipped, dropped {[s.dropped for s in steps]}, ce {steps[0].ce:.3f} to {steps[-1].ce:.3f}, in float32:",
          " ".join(f"{k} {v:.1e}" for k, v in single.items()), flush=True)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or CASES:
        make(chosen, CASES[chosen])
