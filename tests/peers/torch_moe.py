"""The model that `granule train` trains, in PyTorch as its users write it. It is a peer to compare speeds with.

It follows the formulas of the published model (arXiv 2401.06066) and docs/config.md. tests/reference/oracle.py is the
plain second implementation, which knows every key and is slow. This one knows what the published model has, and there
are two ways to send tokens to experts:

    sorted  what a careful user writes: tokens sorted by expert, one product for each expert, and fused projections
    loop    how published model code does it: a mask over all choices for each expert, and one matrix for each name

Parameters are made, filled and compared by their Hugging Face names (`Model.parts`). It needs PyTorch 1.13 or newer.
"""
import torch
import torch.nn.functional as F
from torch import nn

# Keys of [model] and [moe] that would make another model, with the values that change nothing.
NEUTRAL = {"rope_scaling": ("none", None), "router": ("topk",), "scoring_func": ("softmax",), "n_group": (1,),
           "device_loss_alpha": (0,), "z_loss_alpha": (0,), "bias_update_speed": (0,), "capacity_factor": (0,)}


def model_keys(config):
    """[model] and [moe] of a config with everything filled in, as `granule train CONFIG --dry-run` prints it."""
    keys = {**config["model"], **config["moe"]}
    for key, values in NEUTRAL.items():
        if keys[key] not in values:
            raise SystemExit(f"{key} = {keys[key]!r}: the PyTorch model has only {key} = {values[0]!r}")
    if config["data"]["document_mask"]:
        raise SystemExit("document_mask = true: the PyTorch model has no mask of documents")
    return keys


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class Projections(nn.Module):
    """Linear layers with the same input. Fused, they are one matrix."""

    def __init__(self, inputs, widths, fused, bias=False):
        super().__init__()
        self.widths = widths
        outputs = [sum(widths.values())] if fused else widths.values()
        self.layers = nn.ModuleList(nn.Linear(inputs, width, bias=bias) for width in outputs)
        self.fused = fused

    def forward(self, x):
        if self.fused:
            return self.layers[0](x).split(list(self.widths.values()), dim=-1)
        return [layer(x) for layer in self.layers]

    def parts(self, prefix):
        begin = 0
        for i, (name, width) in enumerate(self.widths.items()):
            layer = self.layers[0 if self.fused else i]
            rows = slice(begin, begin + width) if self.fused else slice(None)
            for kind, parameter in layer.named_parameters():
                yield f"{prefix}{name}.{kind}", parameter, rows
            begin += width


def whole(prefix, module):
    """The parts of a module whose parameters are not fused."""
    for name, parameter in module.named_parameters():
        yield f"{prefix}{name}", parameter, slice(None)


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def causal_attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    length, width = q.shape[-2:]
    later = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
    scores = q @ k.transpose(-1, -2) * width ** -0.5
    return scores.masked_fill(later, float("-inf")).softmax(-1) @ v


class Attention(nn.Module):
    def __init__(self, c, fused):
        super().__init__()
        hidden, self.heads, self.groups = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
        self.width = hidden // self.heads
        narrow = self.width * self.groups
        self.qkv = Projections(hidden, {"q_proj": hidden, "k_proj": narrow, "v_proj": narrow}, fused, c["attention_bias"])
        self.out = nn.Linear(hidden, hidden, bias=c["attention_bias"])

    def forward(self, x, cos, sin):
        batch, length, hidden = x.shape
        q, k, v = (part.reshape(batch, length, -1, self.width).transpose(1, 2) for part in self.qkv(x))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if self.groups < self.heads:
            k, v = (part.repeat_interleave(self.heads // self.groups, dim=1) for part in (k, v))
        return self.out(causal_attention(q, k, v).transpose(1, 2).reshape(batch, length, hidden))

    def parts(self, prefix):
        yield from self.qkv.parts(prefix)
        yield from whole(prefix + "o_proj.", self.out)


class FeedForward(nn.Module):
    """SwiGLU: a dense layer, one expert, or all shared experts as one."""

    def __init__(self, hidden, width, fused):
        super().__init__()
        self.gate_up = Projections(hidden, {"gate_proj": width, "up_proj": width}, fused)
        self.down = nn.Linear(width, hidden, bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x)
        return self.down(F.silu(gate) * up)

    def parts(self, prefix):
        yield from self.gate_up.parts(prefix)
        yield from whole(prefix + "down_proj.", self.down)


def sorted_dispatch(experts, tokens, gates, chosen, counts):
    """Each expert gets its tokens as one matrix, and each token gets the sum of what comes back."""
    order = chosen.flatten().argsort()
    rows = order // chosen.shape[-1]
    parts = tokens[rows].split(counts.tolist())
    outputs = torch.cat([expert(part) for expert, part in zip(experts, parts)])
    weighted = outputs * gates.flatten()[order, None]
    return torch.zeros_like(tokens).index_add(0, rows, weighted.to(tokens.dtype))


def loop_dispatch(experts, tokens, gates, chosen, counts):
    """Each token is repeated for each of its choices. Each expert finds its own by a mask over all of them."""
    del counts
    choices = chosen.flatten()
    repeated = tokens.repeat_interleave(chosen.shape[-1], dim=0)
    outputs = torch.empty_like(repeated)
    for number, expert in enumerate(experts):
        mine = choices == number
        outputs[mine] = expert(repeated[mine]).to(outputs.dtype)
    return (outputs.view(*chosen.shape, -1) * gates[..., None]).sum(1)


DISPATCHES = {"sorted": sorted_dispatch, "loop": loop_dispatch}


class MoE(nn.Module):
    def __init__(self, c, dispatch):
        super().__init__()
        hidden, width, fused = c["hidden_size"], c["moe_intermediate_size"], dispatch == "sorted"
        self.top_k, self.normalised = c["num_experts_per_tok"], c["norm_topk_prob"] and c["num_experts_per_tok"] > 1
        self.scaling, self.seq_aux = c["routed_scaling_factor"], c["seq_aux"]
        self.dispatch = DISPATCHES[dispatch]
        self.router = nn.Linear(hidden, c["n_routed_experts"], bias=False)
        self.experts = nn.ModuleList(FeedForward(hidden, width, fused) for _ in range(c["n_routed_experts"]))
        self.shared = FeedForward(hidden, c["n_shared_experts"] * width, fused) if c["n_shared_experts"] else None

    def balance(self, scores, chosen):
        """Σ f·P of each unit, as a mean over the units. A unit is a sequence or, without seq_aux, all tokens."""
        if not self.seq_aux:
            scores, chosen = scores.flatten(0, 1)[None], chosen.flatten(0, 1)[None]
        units, tokens, experts = scores.shape
        choices = chosen.reshape(units, -1)
        counts = scores.new_zeros(units, experts).scatter_add_(1, choices, scores.new_ones(choices.shape))
        return (counts * (experts / (self.top_k * tokens)) * scores.mean(1)).sum(-1).mean()

    def forward(self, x):
        tokens = x.flatten(0, 1)
        with torch.autocast(x.device.type, enabled=False):  # routing stays wider than bf16, as in Granule
            scores = self.router(tokens).softmax(-1)
        gates, chosen = scores.topk(self.top_k, sorted=False)
        if self.normalised:
            gates = gates / (gates.sum(-1, keepdim=True) + 1e-20)
        counts = torch.bincount(chosen.flatten(), minlength=len(self.experts))
        y = self.dispatch(self.experts, tokens, gates * self.scaling, chosen, counts)
        if self.shared is not None:
            y = y + self.shared(tokens)
        return y.view_as(x), self.balance(scores.view(*x.shape[:2], -1), chosen.view(*x.shape[:2], -1))

    def parts(self, prefix):
        yield from whole(prefix + "gate.", self.router)
        for number, expert in enumerate(self.experts):
            yield from expert.parts(f"{prefix}experts.{number}.")
        if self.shared is not None:
            yield from self.shared.parts(prefix + "shared_experts.")


class Block(nn.Module):
    def __init__(self, c, layer, dispatch):
        super().__init__()
        hidden, fused = c["hidden_size"], dispatch == "sorted"
        self.norm1, self.norm2 = RMSNorm(hidden, c["rms_norm_eps"]), RMSNorm(hidden, c["rms_norm_eps"])
        self.attention = Attention(c, fused)
        self.dense = not c["n_routed_experts"] or layer < c["first_k_dense_replace"] or layer % c["moe_layer_freq"] != 0
        self.mlp = FeedForward(hidden, c["intermediate_size"], fused) if self.dense else MoE(c, dispatch)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.norm1(x), cos, sin)
        if self.dense:
            return x + self.mlp(self.norm2(x)), None
        y, balance = self.mlp(self.norm2(x))
        return x + y, balance

    def parts(self, prefix):
        yield from whole(prefix + "input_layernorm.", self.norm1)
        yield from whole(prefix + "post_attention_layernorm.", self.norm2)
        yield from self.attention.parts(prefix + "self_attn.")
        yield from self.mlp.parts(prefix + "mlp.")


class Model(nn.Module):
    """`config` has everything filled in. `dispatch` is "sorted" or "loop"."""

    def __init__(self, config, dispatch):
        super().__init__()
        c = model_keys(config)
        self.embedding = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.blocks = nn.ModuleList(Block(c, layer, dispatch) for layer in range(c["num_hidden_layers"]))
        self.norm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.head = nn.Linear(c["hidden_size"], c["vocab_size"], bias=False)
        self.tied = c["tie_word_embeddings"]
        if self.tied:
            self.head.weight = self.embedding.weight
        for _, parameter, _ in self.parts():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=c["initializer_range"])
        width = c["hidden_size"] // c["num_attention_heads"]
        rates = c["rope_theta"] ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.outer(torch.arange(config["data"]["seq_len"], dtype=torch.float64), rates)
        self.register_buffer("cos", angles.cos().to(torch.get_default_dtype()))
        self.register_buffer("sin", angles.sin().to(torch.get_default_dtype()))

    def forward(self, tokens, targets):
        """The mean cross-entropy, and the balance loss of each MoE layer."""
        x, balances = self.embedding(tokens), []
        for block in self.blocks:
            x, balance = block(x, self.cos, self.sin)
            balances += [] if balance is None else [balance]
        logits = self.head(self.norm(x)).flatten(0, 1)
        return F.cross_entropy(logits, targets.flatten()), balances

    def parts(self):
        """(Hugging Face's name, the parameter that has it, its rows of that parameter) for all that is trained."""
        yield from whole("model.embed_tokens.", self.embedding)
        for layer, block in enumerate(self.blocks):
            yield from block.parts(f"model.layers.{layer}.")
        yield from whole("model.norm.", self.norm)
        if not self.tied:
            yield from whole("lm_head.", self.head)


def make_optimizer(model, config, **kind):
    """AdamW over all parameters. `kind` is one of PyTorch's own implementations, such as fused=True."""
    optim, parameters = config["optim"], list(model.parameters())
    decayed = [p for p in parameters if p.dim() > 1 or optim["decay_norms"]]
    others = [p for p in parameters if p.dim() == 1 and not optim["decay_norms"]]
    groups = [{"params": decayed, "weight_decay": optim["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=optim["lr"], betas=optim["betas"], eps=optim["eps"], **kind)


def train_step(model, optimizer, config, tokens, targets, autocast=False):
    """One step over a batch, in micro-batches. Returns the cross-entropy, the balance loss as a mean over layers, and
    the norm of the gradient. With `autocast`, products are computed in bfloat16."""
    optimizer.zero_grad(set_to_none=True)
    size, alpha = config["train"]["micro_batch_size"], config["moe"]["aux_loss_alpha"]
    share, ce_sum, aux_sum = size / len(tokens), 0.0, 0.0
    for some, wanted in zip(tokens.split(size), targets.split(size)):
        with torch.autocast(tokens.device.type, dtype=torch.bfloat16, enabled=autocast):
            ce, balances = model(some, wanted)
            balance = sum(balances)
        (share * (ce + alpha * balance)).backward()
        ce_sum += share * float(ce.detach())
        aux_sum += share * float(torch.as_tensor(balance).detach()) / max(len(balances), 1)
    limit = config["optim"]["grad_clip"]
    norm = nn.utils.clip_grad_norm_(model.parameters(), limit or float("inf"))
    optimizer.step()
    return ce_sum, aux_sum, float(norm)
