"""A second implementation of what `granule train` computes, to compare the program with.

Written from the formulas of the published model (arXiv 2401.06066) and from docs/config.md, sharing nothing with the
program: PyTorch on the CPU, gradients by its autograd, one expert and one micro-batch after the other.
Needs python3-torch and python3-numpy (Debian). Parameters are a dict from their Hugging Face names to tensors.
"""
import dataclasses
import math

import torch
import torch.nn.functional as F

torch.set_num_threads(1)

# The defaults of the published configuration class (configuration_deepseek.py), for keys that config.json leaves out.
CLASS_DEFAULTS = dict(
    vocab_size=102400, hidden_size=4096, intermediate_size=11008, moe_intermediate_size=1407, num_hidden_layers=30,
    num_attention_heads=32, num_key_value_heads=32, n_shared_experts=None, n_routed_experts=None,
    num_experts_per_tok=None, moe_layer_freq=1, first_k_dense_replace=0, norm_topk_prob=False,
    aux_loss_alpha=0.001, seq_aux=True, max_position_embeddings=2048, initializer_range=0.02, rms_norm_eps=1e-6,
    rope_theta=10000.0, attention_bias=False, tie_word_embeddings=False)


def with_defaults(config):
    """config.json as the published class reads it."""
    full = {**CLASS_DEFAULTS, **config}
    if full["num_key_value_heads"] is None:
        full["num_key_value_heads"] = full["num_attention_heads"]
    return full


def is_moe_layer(c, layer):
    return bool(c["n_routed_experts"]) and layer >= c["first_k_dense_replace"] and layer % c["moe_layer_freq"] == 0


def shapes(c):
    """Every parameter's shape, in the order of the modules."""
    h, kv = c["hidden_size"], c["hidden_size"] // c["num_attention_heads"] * c["num_key_value_heads"]
    out = {"model.embed_tokens.weight": (c["vocab_size"], h)}

    def swiglu(prefix, width):
        out[prefix + "gate_proj.weight"] = (width, h)
        out[prefix + "up_proj.weight"] = (width, h)
        out[prefix + "down_proj.weight"] = (h, width)

    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        for name, rows in (("q", h), ("k", kv), ("v", kv), ("o", h)):
            out[f"{p}self_attn.{name}_proj.weight"] = (rows, h)
            if c["attention_bias"]:
                out[f"{p}self_attn.{name}_proj.bias"] = (rows,)
        if is_moe_layer(c, layer):
            for e in range(c["n_routed_experts"]):
                swiglu(f"{p}mlp.experts.{e}.", c["moe_intermediate_size"])
            out[p + "mlp.gate.weight"] = (c["n_routed_experts"], h)
            if c["n_shared_experts"]:
                swiglu(p + "mlp.shared_experts.", c["n_shared_experts"] * c["moe_intermediate_size"])
        else:
            swiglu(p + "mlp.", c["intermediate_size"])
        out[p + "input_layernorm.weight"] = (h,)
        out[p + "post_attention_layernorm.weight"] = (h,)
    out["model.norm.weight"] = (h,)
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = (c["vocab_size"], h)
    return out


def rms_norm(x, weight, eps):
    return weight * (x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps))


def rotate(x, theta):
    """x [B, heads, S, D]: the pair (i, i + D/2) turns by position · theta^(-2i/D)."""
    length, width = x.shape[-2:]
    rates = torch.tensor([theta ** (-2.0 * i / width) for i in range(width // 2)], dtype=torch.float64)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rates
    cos, sin = torch.cos(angle).to(x.dtype), torch.sin(angle).to(x.dtype)
    a, b = x[..., : width // 2], x[..., width // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def attention(P, p, c, x):
    batch, length, h = x.shape
    heads, groups = c["num_attention_heads"], c["num_key_value_heads"]
    width = h // heads

    def project(name, count):
        y = F.linear(x, P[f"{p}{name}_proj.weight"], P.get(f"{p}{name}_proj.bias"))
        return y.view(batch, length, count, width).transpose(1, 2)

    q, k = (rotate(project(*which), c["rope_theta"]) for which in (("q", heads), ("k", groups)))
    v = project("v", groups)
    serves = [j // (heads // groups) for j in range(heads)]  # the key-value head of each query head
    scores = q @ k[:, serves].transpose(-1, -2) / math.sqrt(width)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    mixed = torch.softmax(scores.masked_fill(future, -math.inf), -1) @ v[:, serves]
    mixed = mixed.transpose(1, 2).reshape(batch, length, h)
    return F.linear(mixed, P[p + "o_proj.weight"], P.get(p + "o_proj.bias"))


def swiglu(P, p, x):
    return F.linear(F.silu(F.linear(x, P[p + "gate_proj.weight"])) * F.linear(x, P[p + "up_proj.weight"]),
                    P[p + "down_proj.weight"])


def balance(c, scores, chosen):
    """scores [B, S, E], chosen [B, S, K] -> one value a unit: the sequences, or the whole micro-batch."""
    experts, k = c["n_routed_experts"], c["num_experts_per_tok"]
    picked = F.one_hot(chosen, experts).sum(-2).to(scores.dtype)  # [B, S, E]
    if not c["seq_aux"]:
        picked, scores = picked.reshape(1, -1, experts), scores.reshape(1, -1, experts)
    f = picked.mean(1) * experts / k
    return (f.detach() * scores.mean(1)).sum(-1)


def moe(P, p, c, x, record):
    flat = x.reshape(-1, x.shape[-1])
    scores = torch.softmax(F.linear(flat, P[p + "gate.weight"]), -1)
    k = c["num_experts_per_tok"]
    weights, chosen = torch.topk(scores, k, -1)
    if k > 1 and c["norm_topk_prob"]:
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
    out = torch.zeros_like(flat)
    for e in range(c["n_routed_experts"]):
        token, slot = torch.nonzero(chosen == e, as_tuple=True)
        y = swiglu(P, f"{p}experts.{e}.", flat[token]) * weights[token, slot][:, None]
        out = out.index_add(0, token, y)
    if c["n_shared_experts"]:
        out = out + swiglu(P, p + "shared_experts.", flat)
    if k < c["n_routed_experts"]:
        ranked = torch.sort(scores.detach(), -1, descending=True)[0]
        record["margin"] = min(record["margin"], float((ranked[:, k - 1] - ranked[:, k]).min()))
    units = balance(c, scores.view(*x.shape[:2], -1), chosen.view(*x.shape[:2], -1))
    record["L"].append(units)
    return out.view(x.shape)


def new_record():
    return {"L": [], "margin": math.inf}


def forward(P, c, tokens, record):
    """tokens [B, S] -> logits [B, S, V]; the balance losses' values go to record["L"], one tensor a MoE layer."""
    x = P["model.embed_tokens.weight"][tokens]
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        x = x + attention(P, p + "self_attn.", c, rms_norm(x, P[p + "input_layernorm.weight"], c["rms_norm_eps"]))
        y = rms_norm(x, P[p + "post_attention_layernorm.weight"], c["rms_norm_eps"])
        x = x + (moe(P, p + "mlp.", c, y, record) if is_moe_layer(c, layer) else swiglu(P, p + "mlp.", y))
    x = rms_norm(x, P["model.norm.weight"], c["rms_norm_eps"])
    head = "model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"
    return F.linear(x, P[head])


@dataclasses.dataclass
class Step:
    ce: float
    aux: float  # mean over layers and units of the unscaled loss; 0 without MoE layers
    lr: float
    grad_norm: float
    margin: float  # smallest gap between the K-th and the next score


def mean_of(values):
    return sum(values) / len(values) if values else 0.0


def global_batch(P, c, inputs, targets, micro):
    """Gradients of the objective over one global batch [B, S] into P's .grad; returns ce, aux, margin."""
    sequences, count = inputs.shape[0], targets.numel()
    units = sequences if c["seq_aux"] else sequences // micro
    ce_sum, layers, margin = 0.0, [], math.inf
    for begin in range(0, sequences, micro):
        record = new_record()
        logits = forward(P, c, inputs[begin : begin + micro], record)
        ce = F.cross_entropy(logits.flatten(0, 1), targets[begin : begin + micro].flatten(), reduction="sum")
        loss = ce / count
        for L in record["L"]:
            loss = loss + c["aux_loss_alpha"] * L.sum() / units
        loss.backward()
        ce_sum += float(ce.detach())
        layers.append([float(L.detach().double().sum()) for L in record["L"]])
        margin = min(margin, record["margin"])
    return ce_sum / count, mean_of([sum(per_layer) / units for per_layer in zip(*layers)]), margin


class AdamW:
    def __init__(self, P, betas, eps, weight_decay, decay_norms, grad_clip):
        self.P, self.betas, self.eps, self.weight_decay = P, betas, eps, weight_decay
        self.decay_norms, self.grad_clip, self.n = decay_norms, grad_clip, 0
        self.m = {k: torch.zeros_like(v) for k, v in P.items()}
        self.v = {k: torch.zeros_like(v) for k, v in P.items()}

    def step(self, lr):
        """One update; returns the norm of the gradient before clipping."""
        self.n += 1
        norm = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in self.P.values()))
        scale = min(1.0, self.grad_clip / (norm + 1e-6)) if self.grad_clip else 1.0  # as torch.nn.utils does
        b1, b2 = self.betas
        with torch.no_grad():
            for name, p in self.P.items():
                g, m, v = p.grad * scale, self.m[name], self.v[name]
                m.copy_(b1 * m + (1 - b1) * g)
                v.copy_(b2 * v + (1 - b2) * g * g)
                update = (m / (1 - b1 ** self.n)) / (torch.sqrt(v / (1 - b2 ** self.n)) + self.eps)
                decay = self.weight_decay if self.decay_norms or p.dim() > 1 else 0.0
                p.copy_(p - lr * decay * p - lr * update)
                p.grad = None
        return norm


def learning_rate(s, lr, n, total):
    """docs/config.md: the rate of step n, counted from 1. s: the [schedule] table with periods in steps."""
    w, kind = s.get("warmup", 0), s["kind"]
    if n <= w:
        return lr * n / w
    if kind == "warmup_step_decay":
        return lr * s["decay_by"] ** sum(n > d for d in s["decay_at"])
    if kind == "cosine":
        low = s.get("min_lr", 0.0)
        return low + (lr - low) * (1 + math.cos(math.pi * (n - w) / (total - w))) / 2
    if kind == "wsd":
        (d,), low = s["decay_at"], s.get("min_lr", 0.0)
        return lr if n <= d else lr + (low - lr) * (n - d) / (total - d)
    return lr


def batch_of(stream, seq_len, batch, k):
    """Step k (from 0) of a stream of tokens, without shuffling."""
    samples = (len(stream) - 1) // seq_len
    rows = [i % samples * seq_len for i in range(k * batch, (k + 1) * batch)]
    window = torch.tensor([[int(t) for t in stream[r : r + seq_len + 1]] for r in rows])
    return window[:, :-1], window[:, 1:]


def train(config, start, stream, run, dtype=torch.float64, least_margin=0.0):
    """config.json, start weights (numpy), token stream, {seq_len, batch, micro, steps, lr, schedule, and AdamW's keys}.

    Returns the steps and the trained weights; None as soon as a step's margin is below the least."""
    c = with_defaults(config)
    P = {name: torch.tensor(start[name]).to(dtype).requires_grad_() for name in shapes(c)}
    optimizer = AdamW(P, run["betas"], run["eps"], run["weight_decay"], run["decay_norms"], run["grad_clip"])
    steps = []
    for k in range(run["steps"]):
        inputs, targets = batch_of(stream, run["seq_len"], run["batch"], k)
        for p in P.values():  # a parameter that nothing reaches still has a gradient: zero
            p.grad = torch.zeros_like(p)
        ce, aux, margin = global_batch(P, c, inputs, targets, run["micro"])
        if margin < least_margin:
            return None
        lr = learning_rate(run["schedule"], run["lr"], k + 1, run["steps"])
        steps.append(Step(ce, aux, lr, optimizer.step(lr), margin))
    return steps, {name: p.detach().numpy() for name, p in P.items()}
