"""The files of the project, and what the checks share. It is not a check itself."""
import hashlib
import os
import re
import subprocess
import sys

CODE = (".hpp", ".cpp", ".cu", ".cuh")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def files(suffixes=("",)):
    """Sorted paths from the root: what git tracks or would track. Without git, all files outside build folders."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], check=False,
                            capture_output=True, text=True)
    if listed.returncode == 0:
        paths = listed.stdout.splitlines()
    else:
        paths = [os.path.relpath(os.path.join(folder, name)) for folder, _, names in os.walk(".") for name in names]
        paths = [path for path in paths if not path.startswith(("build", ".git/", "runs/"))]
    return sorted(path for path in set(paths) if path.endswith(tuple(suffixes)) and os.path.isfile(path))


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def includes(path):
    """(line, quote, name) of every #include."""
    text = read(path)
    return [(text.count("\n", 0, match.start(2)) + 1, match.group(1), match.group(2))
            for match in INCLUDE.finditer(text)]


CLANG = "14"  # that of Debian 12; other versions format and judge differently


def made_for(tool):
    """Whether `tool` has the version that the project is written with. If not, prints it."""
    try:
        said = subprocess.run([tool, "--version"], check=True, text=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        print(f"{tool}: not there, so this check is skipped (version {CLANG} is needed)", file=sys.stderr)
        return False
    version = re.search(r"version (\d+)", said)
    if version and version.group(1) == CLANG:
        return True
    print(f"{tool}: version {version.group(1) if version else 'unknown'}, so this check is skipped "
          f"(version {CLANG} is needed)", file=sys.stderr)
    return False


def digest(path, *extra):
    """A key for results. It changes if the file, a project header that it reaches, or one of `extra` changes."""
    seen, waiting = set(), [path]
    while waiting:
        current = waiting.pop()
        if current not in seen and os.path.isfile(current):
            seen.add(current)
            waiting += [name for _, quote, name in includes(current) if quote == '"']
    total = hashlib.sha256(repr((path, extra)).encode())
    for name in sorted(seen):
        total.update(name.encode() + b"\0" + read(name).encode() + b"\0")
    return total.hexdigest()


def finish(breaches):
    """Prints what was found, and exits as a check does, with 1 if there was something."""
    status = 0
    for breach in breaches:
        print(breach, flush=True)
        status = 1
    sys.exit(status)
