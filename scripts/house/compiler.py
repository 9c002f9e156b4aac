"""How a configured build compiles the project's files, and a memory of contents that passed. It is not a check."""
import concurrent.futures
import json
import os
import shlex
import sys

CACHE = "build/house"


def commands(build):
    """The compiler's arguments for each file, relative to the root. Ends the check if `build` is not configured."""
    path = os.path.join(build, "compile_commands.json")
    if not os.path.isfile(path):
        sys.exit(f"{path} is missing: run cmake --preset {os.path.basename(build)}")
    with open(path, encoding="utf-8") as file:
        return {os.path.relpath(entry["file"]): shlex.split(entry["command"]) for entry in json.load(file)}


def flags(build):
    """Language, include paths and definitions of all C++ files together."""
    found = {}
    for path, arguments in commands(build).items():
        if path.endswith(".cpp"):
            for first, second in zip(arguments, arguments[1:] + [""]):
                if first == "-isystem":
                    found[(first, second)] = True
                elif first.startswith(("-I", "-D", "-std=")):
                    found[(first,)] = True
    return [word for words in found for word in words]


def run_kept(check, keys):
    """Calls check(name) → breach text or "" for the files of {name: digest}. A digest that passed is not checked again."""
    os.makedirs(CACHE, exist_ok=True)
    waiting = [name for name, key in keys.items() if not os.path.exists(os.path.join(CACHE, key))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, breach in zip(waiting, pool.map(check, waiting)):
            if breach:
                yield breach
            else:
                open(os.path.join(CACHE, keys[name]), "w", encoding="utf-8").close()
