"""Computes exported weights with numpy in float64. It shares no code with the program.

Usage: forward.py DIRECTORY REQUEST_FILE
A request is {"start": ID, "ids": [ID]}. The answer is the logarithm of the probability of each id after `start` and
the ids before it. The formulas are those of the classes DeepseekForCausalLM and Qwen2MoeForCausalLM, one token and
one expert at a time.
"""
import json
import os
import sys

import numpy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../reference"))
from safetensors_file import read_safetensors


def load(directory):
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    tensors, _ = read_safetensors(os.path.join(directory, "model.safetensors"))
    return config, {name: values.astype("f8") for name, values in tensors.items()}


def rms_norm(x, weight, eps):
    return weight * x / numpy.sqrt((x * x).mean(-1, keepdims=True) + eps)


def silu(x):
    return x / (1 + numpy.exp(-x))


def softmax(x):
    e = numpy.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Model:
    def __init__(self, directory):
        self.c, self.w = load(directory)
        self.qwen = self.c["architectures"] == ["Qwen2MoeForCausalLM"]
        assert self.qwen or self.c["architectures"] == ["DeepseekForCausalLM"]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w.get(name + ".bias", 0)

    def mlp(self, x, prefix):
        gate, up = self.linear(x, prefix + ".gate_proj"), self.linear(x, prefix + ".up_proj")
        return self.linear(silu(gate) * up, prefix + ".down_proj")

    def rotate(self, x):
        """x [S, heads, D]: rotate_half of transformers."""
        length, _, width = x.shape
        scaling = self.c.get("rope_scaling")
        factor = scaling["factor"] if scaling and scaling["type"] == "linear" else 1.0
        inverse = self.c["rope_theta"] ** (-numpy.arange(0, width, 2) / width)
        angle = numpy.outer(numpy.arange(length) / factor, inverse)
        angle = numpy.concatenate([angle, angle], -1)[:, None]
        half = numpy.concatenate([-x[..., width // 2:], x[..., : width // 2]], -1)
        return x * numpy.cos(angle) + half * numpy.sin(angle)

    def attention(self, x, prefix):
        heads, kv = self.c["num_attention_heads"], self.c["num_key_value_heads"] or self.c["num_attention_heads"]
        length, width = len(x), self.c["hidden_size"] // heads
        q, k, v = (self.linear(x, f"{prefix}.{n}_proj").reshape(length, -1, width) for n in "qkv")
        q, k = self.rotate(q), self.rotate(k)
        k, v = (numpy.repeat(t, heads // kv, 1) for t in (k, v))
        scores = numpy.einsum("qhd,khd->hqk", q, k) / numpy.sqrt(width)
        scores[:, numpy.triu(numpy.ones((length, length), bool), 1)] = -numpy.inf
        mixed = numpy.einsum("hqk,khd->qhd", softmax(scores), v)
        return self.linear(mixed.reshape(length, -1), prefix + ".o_proj")

    def is_moe(self, layer):
        c = self.c
        if self.qwen:
            return layer not in c["mlp_only_layers"] and (layer + 1) % c["decoder_sparse_step"] == 0
        return bool(c["n_routed_experts"]) and layer >= c["first_k_dense_replace"] and layer % c["moe_layer_freq"] == 0

    def experts(self, x, prefix):
        k = self.c["num_experts_per_tok"]
        probability = softmax(self.linear(x, prefix + ".gate"))
        y = numpy.zeros_like(x)
        for t, row in enumerate(probability):
            chosen = numpy.argsort(-row, kind="stable")[:k]
            weights = row[chosen]
            if self.c["norm_topk_prob"] and (self.qwen or k > 1):
                weights = weights / weights.sum()
            for expert, weight in zip(chosen, weights):
                y[t] += weight * self.mlp(x[t], f"{prefix}.experts.{expert}")
        if self.qwen:
            gate = 1 / (1 + numpy.exp(-self.linear(x, prefix + ".shared_expert_gate")))
            y += gate * self.mlp(x, prefix + ".shared_expert")
        elif self.c["n_shared_experts"]:
            y += self.mlp(x, prefix + ".shared_experts")
        return y

    def logits(self, ids):
        eps = self.c["rms_norm_eps"]
        x = self.w["model.embed_tokens.weight"][ids]
        for layer in range(self.c["num_hidden_layers"]):
            p = f"model.layers.{layer}."
            x = x + self.attention(rms_norm(x, self.w[p + "input_layernorm.weight"], eps), p + "self_attn")
            h = rms_norm(x, self.w[p + "post_attention_layernorm.weight"], eps)
            x = x + (self.experts(h, p + "mlp") if self.is_moe(layer) else self.mlp(h, p + "mlp"))
        head = "model.embed_tokens" if self.c["tie_word_embeddings"] else "lm_head"
        return self.linear(rms_norm(x, self.w["model.norm.weight"], eps), head)


with open(sys.argv[2], encoding="utf-8") as request_file:
    request = json.load(request_file)
ids = [request["start"], *request["ids"]]
likely = numpy.log(softmax(Model(sys.argv[1]).logits(ids[:-1])))
print(json.dumps([likely[i, token] for i, token in enumerate(ids[1:])]))
