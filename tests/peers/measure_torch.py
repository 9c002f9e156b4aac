"""Measures training steps of the PyTorch model and prints one object of JSON. scripts/compare-pytorch calls it.

Standard input has the config with everything filled in, as `granule train CONFIG --dry-run` prints it. Tokens are
random, as in `granule bench step`. Threads of the BLAS are set by its own variables, such as OPENBLAS_NUM_THREADS.
"""
import argparse
import contextlib
import json
import os
import statistics
import sys
import time

try:
    import torch
except ImportError:
    sys.exit(f"{sys.executable} has no PyTorch: install python3-torch and libopenblas0-pthread, or name a Python that has it")

import torch_moe

ADAMW = ("foreach", "fused")


def blas():
    """The library that multiplies matrices for PyTorch. The reference BLAS is refused; it is thirty times too slow."""
    torch.ones(64, 64) @ torch.ones(64, 64)
    with open("/proc/self/maps", encoding="utf-8") as maps:
        paths = {line.split()[-1] for line in maps if "blas" in line or "mkl" in line}
    if any("/blas/libblas.so" in path for path in paths):
        sys.exit("PyTorch multiplies with the reference BLAS here: install libopenblas0-pthread, then run this again")
    return ", ".join(sorted({os.path.relpath(os.path.realpath(path), "/usr/lib") for path in paths if "lapack" not in path})) or "built in"


def work_of_others():
    """Seconds of processor time that other processes and other virtual machines have used so far."""
    with open("/proc/stat", encoding="utf-8") as stat:
        user, nice, system, _, _, irq, soft_irq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK") - time.process_time()


def wait_for(device):
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of_steps(model, optimizer, config, arguments):
    """The time of each step after the first one, which is not counted, and how many cores others used meanwhile."""
    shape = (config["train"]["batch_size"], config["data"]["seq_len"] + 1)
    seconds = []
    for step in range(arguments.steps + 1):
        if step == 1:
            others, begin = work_of_others(), time.perf_counter()
        tokens = torch.randint(config["model"]["vocab_size"], shape, device=arguments.device)
        wait_for(arguments.device)
        start = time.perf_counter()
        torch_moe.train_step(model, optimizer, config, tokens[:, :-1], tokens[:, 1:], arguments.dtype == "bf16")
        wait_for(arguments.device)
        seconds.append(time.perf_counter() - start)
    return seconds[1:], (work_of_others() - others) / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dispatch", choices=torch_moe.DISPATCHES, required=True)
    parser.add_argument("--dtype", choices=("f32", "bf16"), required=True, help="bf16 is autocast")
    parser.add_argument("--threads", type=int, required=True, help="threads of PyTorch itself, without its BLAS")
    parser.add_argument("--adamw", choices=ADAMW, required=True, help="which of PyTorch's implementations")
    parser.add_argument("--onednn", choices=("on", "off"), required=True, help="whether PyTorch may use oneDNN")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    config = json.load(sys.stdin)
    torch.set_num_threads(arguments.threads)
    torch.backends.mkldnn.set_flags(arguments.onednn == "on")
    torch.manual_seed(0)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"the PyTorch of {sys.executable} finds no GPU")
    with torch.device("cuda") if arguments.device == "cuda" else contextlib.nullcontext():  # PyTorch 1.13 has no such context
        model = torch_moe.Model(config, arguments.dispatch)
    optimizer = torch_moe.make_optimizer(model, config, **{arguments.adamw: True})
    seconds, others = seconds_of_steps(model, optimizer, config, arguments)
    tokens = config["train"]["batch_size"] * config["data"]["seq_len"]
    print(json.dumps({"torch": torch.__version__, "blas": blas() if arguments.device == "cpu" else torch.cuda.get_device_name(),
                      "onednn": torch.backends.mkldnn.is_available(),
                      "parameters": sum(parameter.numel() for parameter in model.parameters()),
                      "tokens_per_second": tokens / statistics.median(seconds), "seconds": seconds,
                      "cores_of_others": others}))


if __name__ == "__main__":
    main()
