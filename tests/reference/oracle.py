"""A second implementation of what `granule train` computes. The program is compared with it.

It follows the formulas of the published model (arXiv 2401.06066) and docs/config.md, and shares no code with the
program. It uses PyTorch on the CPU and its autograd, and computes one expert and one micro-batch after the other.
It needs python3-torch and python3-numpy (Debian). Parameters are a dict from their Hugging Face names to tensors.
"""
import collections
import dataclasses
import fractions
import math

import torch
import torch.nn.functional as F

torch.set_num_threads(1)

# The defaults of the published configuration class (configuration_deepseek.py), for keys that are missing in
# config.json.
CLASS_DEFAULTS = dict(
    vocab_size=102400, hidden_size=4096, intermediate_size=11008, moe_intermediate_size=1407, num_hidden_layers=30,
    num_attention_heads=32, num_key_value_heads=32, n_shared_experts=None, n_routed_experts=None,
    num_experts_per_tok=None, moe_layer_freq=1, first_k_dense_replace=0, norm_topk_prob=False,
    aux_loss_alpha=0.001, seq_aux=True, max_position_embeddings=2048, initializer_range=0.02, rms_norm_eps=1e-6,
    rope_theta=10000.0, attention_bias=False, tie_word_embeddings=False,
    # Neutral values of our own keys (docs/config.md) and of those of V2 and V3.
    scoring_func="softmax", routed_scaling_factor=1.0, n_group=1, topk_group=1, device_loss_alpha=0.0,
    device_groups=1, z_loss_alpha=0.0, bias_update_speed=0.0, capacity_factor=0.0)


def with_defaults(config):
    """config.json, as the published class reads it."""
    full = {**CLASS_DEFAULTS, **config}
    if full["num_key_value_heads"] is None:
        full["num_key_value_heads"] = full["num_attention_heads"]
    return full


def is_moe_layer(c, layer):
    return bool(c["n_routed_experts"]) and layer >= c["first_k_dense_replace"] and layer % c["moe_layer_freq"] == 0


def shapes(c):
    """The shape of every parameter, in the order of the modules."""
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


def state_shapes(c):
    """What is trained without a gradient: the bias on each expert's choice. It is always float32."""
    if c["scoring_func"] != "sigmoid" and not c["bias_update_speed"]:
        return {}
    return {f"model.layers.{layer}.mlp.gate.e_score_correction_bias": (c["n_routed_experts"],)
            for layer in range(c["num_hidden_layers"]) if is_moe_layer(c, layer)}


def rms_norm(x, weight, eps):
    return weight * (x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps))


def rotate(x, theta):
    """x [B, heads, S, D]. The pair (i, i + D/2) is rotated by position · theta^(-2i/D)."""
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


class Margin:
    """The smallest gap that decided a choice, absolute and relative to the winner. If rounding is larger than that,
    another choice is possible."""

    def __init__(self):
        self.least = self.relative = math.inf

    def gap(self, winner, loser):
        self.least = min(self.least, winner - loser)
        self.relative = min(self.relative, (winner - loser) / max(abs(winner), 1e-300))

    def note(self, values, kept):
        """values [..., N]. The `kept` largest of them win."""
        ranked = torch.sort(values.detach(), -1, descending=True)[0].flatten(0, -2)
        for row in ranked[:, kept - 1 : kept + 1].tolist() if kept < ranked.shape[-1] else []:
            self.gap(*row)


def select(c, scores, bias, margin):
    """The K experts of each token, [T, K]. They have the best score + bias in the topk_group best groups. scores [T, E]."""
    biased = scores.detach() + bias
    groups = c["n_group"]
    if groups > 1:
        inside = biased.view(len(scores), groups, -1)
        best = 1 if c["scoring_func"] == "softmax" else min(2, inside.shape[-1])
        value = torch.sort(inside, -1, descending=True)[0][..., :best].sum(-1)
        margin.note(value, c["topk_group"])
        allowed = torch.zeros_like(value, dtype=torch.bool)
        allowed.scatter_(1, torch.topk(value, c["topk_group"], -1)[1], True)
        biased = torch.where(allowed[..., None], inside, torch.full_like(inside, -math.inf)).flatten(1)
    k = c["num_experts_per_tok"]
    if k < c["n_routed_experts"] // groups * c["topk_group"]:
        margin.note(biased, k)
    return torch.topk(biased, k, -1)[1]


def served(c, affinity, tokens, margin):
    """Which of its tokens an expert takes: affinity in the tokens' order -> mask. Of equal ones, the later is dropped.

    Tokens with the same past are also equal, up to rounding. Then rounding decides, and the margin is nearly zero.
    Only a router row of zeros makes scores equal to the bit in every implementation."""
    share = fractions.Fraction(repr(c["capacity_factor"])) * c["num_experts_per_tok"] / c["n_routed_experts"]
    limit = math.ceil(share * tokens)
    order = sorted(range(len(affinity)), key=lambda i: (-affinity[i], i))
    if 0 < limit < len(order):
        last, first_refused = affinity[order[limit - 1]], affinity[order[limit]]
        if not last == first_refused == 0.5:
            margin.gap(last, first_refused)
    keep = torch.zeros(len(affinity), dtype=torch.bool)
    keep[order[:limit]] = True
    return keep


def picks(c, chosen, sequences, dtype):
    """[T, K] -> how often each expert was chosen at each token, [B, S, E]."""
    experts = c["n_routed_experts"]
    return F.one_hot(chosen, experts).sum(-2).to(dtype).view(sequences, -1, experts)


def balance(c, shares, picked):
    """shares, picked [B, S, E] -> one value for each unit, which is a sequence or the whole micro-batch."""
    experts, k = c["n_routed_experts"], c["num_experts_per_tok"]
    if not c["seq_aux"]:
        picked, shares = picked.reshape(1, -1, experts), shares.reshape(1, -1, experts)
    f = picked.mean(1) * experts / k
    return (f.detach() * shares.mean(1)).sum(-1)


def device_balance(c, shares, picked):
    """The same for groups of experts, always for each sequence: mean of f and sum of P in a group (eq. 15-17)."""
    groups = c["device_groups"]
    f = picked.mean(1) * c["n_routed_experts"] / c["num_experts_per_tok"]
    f = f.view(len(f), groups, -1).mean(-1)
    return (f.detach() * shares.mean(1).view(len(f), groups, -1).sum(-1)).sum(-1)


def moe(P, p, c, x, record):
    flat, k = x.reshape(-1, x.shape[-1]), c["num_experts_per_tok"]
    logits = F.linear(flat, P[p + "gate.weight"])
    soft = c["scoring_func"] == "softmax"
    scores = torch.softmax(logits, -1) if soft else torch.sigmoid(logits)
    shares = scores if soft else scores / scores.sum(-1, keepdim=True)
    bias = P.get(p + "gate.e_score_correction_bias")
    unbiased = select(c, scores, torch.zeros(c["n_routed_experts"], dtype=scores.dtype), record.margin)
    chosen = unbiased if bias is None else select(c, scores, bias.to(scores.dtype), record.margin)
    weights = scores.gather(1, chosen)
    if k > 1 and c["norm_topk_prob"]:
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
    weights = weights * c["routed_scaling_factor"]
    out, dropped = torch.zeros_like(flat), 0
    for e in range(c["n_routed_experts"]):
        token, slot = torch.nonzero(chosen == e, as_tuple=True)  # in the order of the tokens
        if c["capacity_factor"]:
            keep = served(c, scores.detach()[token, e].tolist(), len(flat), record.margin)
            dropped += int((~keep).sum())
            token, slot = token[keep], slot[keep]
        y = swiglu(P, f"{p}experts.{e}.", flat[token]) * weights[token, slot][:, None]
        out = out.index_add(0, token, y)
    if c["n_shared_experts"]:
        out = out + swiglu(P, p + "shared_experts.", flat)
    by_sequence = shares.view(*x.shape[:2], -1)
    picked = picks(c, unbiased, len(x), scores.dtype)
    with torch.no_grad():
        entropy = -(shares * torch.log(shares.clamp_min(1e-300))).sum()
    record.layers.append(Layer(
        balance(c, by_sequence, picked), device_balance(c, by_sequence, picked),
        (torch.logsumexp(logits, -1) ** 2).sum(), torch.bincount(chosen.flatten(), minlength=c["n_routed_experts"]),
        dropped, float(entropy)))
    return out.view(x.shape)


# For one MoE layer and micro-batch: the balance loss of each unit, the device loss of each sequence, z over the tokens.
# Then the tokens of each expert as chosen, the choices dropped, and the entropy over the tokens.
Layer = collections.namedtuple("Layer", "L device z counts dropped entropy")


class Record:
    def __init__(self, margin):
        self.layers, self.margin = [], margin


def forward(P, c, tokens, record):
    """tokens [B, S] -> logits [B, S, V]. What the MoE layers add goes to record.layers."""
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
    device_aux: float  # mean over layers and sequences of the unscaled loss; 0 with one device group
    z: float  # mean over tokens, sum over layers, unscaled
    dropped: int
    router_entropy: float  # mean over tokens and layers
    counts: list  # tokens as chosen, before any is dropped: [layer][expert]
    margin: float  # the smallest gap that decided a choice
    relative_margin: float
    lr: float = 0.0
    grad_norm: float = 0.0


def mean_of(values):
    return sum(values) / len(values) if values else 0.0


def objective(c, layers, units, sequences, tokens):
    """What one micro-batch adds to the balance losses of its global batch."""
    return sum(c["aux_loss_alpha"] * layer.L.sum() / units + c["z_loss_alpha"] * layer.z / tokens +
               c["device_loss_alpha"] * layer.device.sum() / sequences for layer in layers)


def global_batch(P, c, inputs, targets, micro):
    """Computes gradients of the objective over one global batch [B, S] into P's .grad. Returns the Step."""
    sequences, count = inputs.shape[0], targets.numel()
    units = sequences if c["seq_aux"] else sequences // micro
    ce_sum, batches, margin = 0.0, [], Margin()
    for begin in range(0, sequences, micro):
        record = Record(margin)
        logits = forward(P, c, inputs[begin : begin + micro], record)
        ce = F.cross_entropy(logits.flatten(0, 1), targets[begin : begin + micro].flatten(), reduction="sum")
        (ce / count + objective(c, record.layers, units, sequences, count)).backward()
        ce_sum += float(ce.detach())
        batches.append(record.layers)
    by_layer = list(zip(*batches))  # [layer][micro-batch]

    def totals(value):
        return [sum(float(value(m)) for m in layer) for layer in by_layer]

    device = totals(lambda m: m.device.detach().double().sum()) if c["device_groups"] > 1 else []
    return Step(
        ce=ce_sum / count, aux=mean_of(totals(lambda m: m.L.detach().double().sum())) / units,
        device_aux=mean_of(device) / sequences, z=sum(totals(lambda m: m.z.detach())) / count,
        dropped=int(sum(totals(lambda m: m.dropped))), router_entropy=mean_of(totals(lambda m: m.entropy)) / count,
        counts=[sum(m.counts for m in layer).tolist() for layer in by_layer], margin=margin.least,
        relative_margin=margin.relative)


def move_biases(states, counts, speed):
    """Moves up if an expert had less than the mean of the whole step, and down if it had more. In float32."""
    for bias, layer in zip(states.values(), counts):
        load = torch.tensor(layer)
        bias += torch.tensor(speed, dtype=torch.float32) * torch.sign(load.sum() - load * len(load)).float()


class AdamW:
    def __init__(self, P, betas, eps, weight_decay, decay_norms, grad_clip):
        self.P, self.betas, self.eps, self.weight_decay = P, betas, eps, weight_decay
        self.decay_norms, self.grad_clip, self.n = decay_norms, grad_clip, 0
        self.m = {k: torch.zeros_like(v) for k, v in P.items()}
        self.v = {k: torch.zeros_like(v) for k, v in P.items()}

    def step(self, lr):
        """Does one update. Returns the norm of the gradient before clipping."""
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
    """The rate of step n, counted from 1, by docs/config.md. s is the [schedule] table with periods in steps."""
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
    """config.json, initial weights (numpy), token stream, {seq_len, batch, micro, steps, lr, schedule, AdamW's keys}.

    Returns the steps and the trained weights. Returns None as soon as a step's margin is below the least."""
    c = with_defaults(config)
    P = {name: torch.tensor(start[name]).to(dtype).requires_grad_() for name in shapes(c)}
    states = {name: torch.tensor(start[name]).float() for name in state_shapes(c)}
    optimizer = AdamW(P, run["betas"], run["eps"], run["weight_decay"], run["decay_norms"], run["grad_clip"])
    steps = []
    for k in range(run["steps"]):
        inputs, targets = batch_of(stream, run["seq_len"], run["batch"], k)
        for p in P.values():  # a parameter without influence still has a gradient, which is zero
            p.grad = torch.zeros_like(p)
        step = global_batch({**P, **states}, c, inputs, targets, run["micro"])
        if step.margin < least_margin:
            return None
        step.lr = learning_rate(run["schedule"], run["lr"], k + 1, run["steps"])
        step.grad_norm = optimizer.step(step.lr)
        move_biases(states, step.counts, c["bias_update_speed"])
        steps.append(step)
    return steps, {name: p.detach().numpy() for name, p in {**P, **states}.items()}
