"""Compares the oracle with the published model's vectors in tests/fixtures/golden. Labels shift inside the window there."""
import json
import pathlib
import sys

import torch
import torch.nn.functional as F

import oracle
from safetensors_file import read_safetensors

GOLDEN = pathlib.Path(__file__).parent.parent / "data" / "golden"


def step_of(P, c, tokens, labels):
    record = oracle.Record(oracle.Margin())
    logits = oracle.forward(P, c, tokens, record)
    ce = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    aux = sum(c["aux_loss_alpha"] * layer.L.mean() for layer in record.layers)
    (ce + aux).backward()
    return logits, ce, aux


def check(case):
    t, metadata = read_safetensors(GOLDEN / f"{case}.safetensors")
    meta = json.loads(metadata["meta"])
    c = oracle.with_defaults(meta["config"])
    P = {n: torch.tensor(t["init/" + n]).double().requires_grad_() for n in oracle.shapes(c)}
    assert {"init/" + n for n in P} == {n for n in t if n.startswith("init/")}
    adam = oracle.AdamW(P, meta["betas"], meta["eps"], meta["weight_decay"], not meta["nodecay_norms"], meta["clip"])
    worst = {"logits": 0.0, "ce": 0.0, "aux": 0.0, "norm": 0.0, "grad": 0.0, "weights": 0.0}

    def note(what, mine, theirs):
        mine, theirs = (torch.as_tensor(x, dtype=torch.float64) for x in (mine, theirs))
        scale = float(theirs.abs().max())
        difference = float((mine - theirs).abs().max())
        worst[what] = max(worst[what], difference / scale if scale else difference)

    for k, lr in enumerate(meta["lrs"]):
        for p in P.values():
            p.grad = torch.zeros_like(p)
        logits, ce, aux = step_of(P, c, torch.tensor(t["tokens"][k]), torch.tensor(t["labels"][k]))
        note("ce", ce.detach(), t["f64/steps/ce"][k])
        note("aux", torch.as_tensor(aux).detach(), t["f64/steps/aux"][k])
        if k == 0:
            note("logits", logits.detach().flatten(), torch.tensor(t["f64/logits"]).flatten())
            for n, p in P.items():
                note("grad", p.grad, t["f64/grad/" + n])
        note("norm", adam.step(lr), t["f64/steps/grad_norm"][k])
    for n, p in P.items():
        note("weights", p.detach(), t["f64/param_step3/" + n])
    print(f"{case:14}", "  ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    return all(v < 1e-11 for v in worst.values())


if __name__ == "__main__":
    good = [check(path.stem) for path in sorted(GOLDEN.glob("*.safetensors"))]
    sys.exit(0 if good and all(good) else 1)
