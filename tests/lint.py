#!/usr/bin/env python3
"""Form and defects: clang-format over every source, clang-tidy over the product's.

    tests/lint.py [--form] [FILE...]

--form: clang-format alone. clang-tidy takes its commands from build/asan, which must be configured, but
without precompiled headers: a file that leaves out what it includes is found.
A file that passed is not looked at again until it, a header of it, .clang-tidy or clang-tidy changes:
what passed is kept in $XDG_CACHE_HOME/initrt-lint, by the hash of the preprocessed file. Exits with 1
if anything was found.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FORMAT, TIDY = "clang-format-16", "clang-tidy-16"
COMMANDS = ROOT / "build/asan/lint"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "initrt-lint"


def output_of(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


def sources(patterns, wanted):
    # Sources that are mounted into a container belong to somebody else.
    listed = output_of("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", *patterns)
    if listed.returncode != 0:
        sys.exit(listed.stderr)
    return [name for name in listed.stdout.split("\0") if name and (not wanted or name in wanted)]


def commands_by_file(listing):
    """Those of a compile_commands.json, which are written to COMMANDS without precompiled headers."""
    with open(listing) as file:
        entries = json.load(file)
    for entry in entries:
        arguments = shlex.split(entry.pop("command"))
        # -Xclang -include-pch -Xclang FILE.pch -Xclang -include -Xclang FILE.hxx
        while "-include-pch" in arguments:
            first = arguments.index("-include-pch") - 1
            del arguments[first:first + 8]
        entry["arguments"] = arguments
    COMMANDS.mkdir(exist_ok=True)
    (COMMANDS / "compile_commands.json").write_text(json.dumps(entries))
    return {os.path.relpath(entry["file"], ROOT): entry for entry in entries}


def passes_tidy(command, salt):
    """Prints what clang-tidy finds in one file. Returns whether it found nothing."""
    arguments = command["arguments"]
    place = arguments.index("-o")
    preprocess = [argument for argument in arguments[:place] + arguments[place + 2:]
                  if argument not in ("-c", "ccache")]
    # With comments: they may say NOLINT.
    text = subprocess.run(preprocess + ["-E", "-P", "-C"], capture_output=True, cwd=command["directory"],
                          check=True).stdout
    stamp = CACHE / hashlib.sha256(salt + text).hexdigest()
    if stamp.exists():
        return True
    found = output_of(TIDY, "--quiet", "-p", COMMANDS, command["file"])
    if found.returncode == 0:
        CACHE.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        return True
    crashed = "" if found.stdout else found.stderr
    print(f"{found.stdout}{crashed}", end="", flush=True)
    return False


def main():
    form_alone = sys.argv[1:2] == ["--form"]
    wanted = {os.path.relpath(pathlib.Path(name).resolve(), ROOT)
              for name in sys.argv[1 + form_alone:]}
    formatted = sources(["*.h", "*.cpp", "*.cu", "*.cuh"], wanted)
    form = output_of(FORMAT, "--dry-run", "--Werror", *formatted)
    print(form.stderr, end="", flush=True)
    if form_alone:
        print(f"clang-format: {len(formatted)} files", file=sys.stderr)
        sys.exit(form.returncode)

    product = set(sources(["sharding/*.cpp", "runtime/*.cpp", "launch/*.cpp"], wanted))
    listing = ROOT / "build/asan/compile_commands.json"
    if not listing.exists():
        sys.exit("clang-tidy needs build/asan/compile_commands.json: cmake --preset asan")
    commands = commands_by_file(listing)
    if unknown := sorted(product - commands.keys()):
        print(f"not compiled here, so not seen by clang-tidy: {' '.join(unknown)}", file=sys.stderr)
    salt = (ROOT / ".clang-tidy").read_bytes() + output_of(TIDY, "--version").stdout.encode()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(lambda name: passes_tidy(commands[name], salt),
                               sorted(product & commands.keys())))
    print(f"clang-format: {len(formatted)} files; clang-tidy: {len(passed)} files, "
          f"{passed.count(False)} with findings", file=sys.stderr)
    sys.exit(form.returncode != 0 or not all(passed))


main()
