#!/usr/bin/env python3
"""Form and defects: clang-format over every source, clang-tidy over the product's.

    tests/lint.py [--form] [FILE...]

--form: clang-format alone. clang-tidy takes its commands from build/asan, which must be configured, but
without precompiled headers. Files are looked at some at a time, as one: what one of them leaves out that
another includes is left to the release build to find.
A file that passed is not looked at again until it, a header of it, .clang-tidy or a package that is
installed changes: what passed is kept in $XDG_CACHE_HOME/initrt-lint, by a hash of all these. Exits with
1 if anything was found.
"""
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FORMAT, TIDY = "clang-format-16", "clang-tidy-16"
LINT = ROOT / "build/asan/lint"
GROUP = 8  # files
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
    """Those of a compile_commands.json, without precompiled headers, compiler cache and output."""
    with open(listing) as file:
        entries = json.load(file)
    for entry in entries:
        arguments = shlex.split(entry.pop("command"))
        while "-include-pch" in arguments:  # -Xclang -include-pch -Xclang FILE.pch
            first = arguments.index("-include-pch") - 1
            del arguments[first:first + 4]
        entry["arguments"] = arguments[arguments[0].endswith("ccache"):arguments.index("-o")]
    return {os.path.relpath(entry["file"], ROOT): entry for entry in entries}


@functools.lru_cache(maxsize=None)
def includes(path):
    """Of this tree, what a file includes itself."""
    named = re.findall(r'^\s*#\s*include\s*["<]([^">]+)', path.read_text(), re.MULTILINE)
    candidates = [place / name for name in named for place in (ROOT, path.parent)]
    return [candidate for candidate in candidates if candidate.is_file()]


def hash_of(command, salt):
    """Of a file with all that it includes: of this tree by content, else by the packages in `salt`."""
    seen, left = set(), [pathlib.Path(command["file"])]
    while left:
        path = left.pop()
        if path not in seen:
            seen.add(path)
            left += includes(path)
    parts = [salt, " ".join(command["arguments"]).replace(str(ROOT), "").encode()]
    for path in sorted(seen):
        parts += [str(path.relative_to(ROOT)).encode(), hashlib.sha256(path.read_bytes()).digest()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def declared(path):
    """Names that a file keeps to itself: what its unnamed namespaces declare."""
    names = set()
    unnamed = re.compile(r"^namespace \{\n(.*?)^\}  // namespace$", re.DOTALL | re.MULTILINE)
    for inside in unnamed.findall(path.read_text()):
        names.update(re.findall(r"^(?:class|struct|enum|enum class) (\w+)", inside, re.MULTILINE))
        names.update(re.findall(r"^(?!using |namespace )\w[^=({;]*?\b(\w+)(?:\[\w*\])*(?: =|\(|\{|;)", inside, re.MULTILINE))
    return names


def grouped(names, commands):
    """Files that can be looked at as one: of the same options, and none declares a name that another does."""
    groups = []
    for name in names:
        options, own = commands[name]["arguments"], declared(ROOT / name)
        fitting = (group for group in groups if group["options"] == options
                   and len(group["names"]) < GROUP and not own & group["declared"])
        group = next(fitting, None)
        if group is None:
            group = {"options": options, "names": [], "declared": set()}
            groups.append(group)
        group["names"].append(name)
        group["declared"] |= own
    return [group["names"] for group in groups]


def tidy(files, command):
    return output_of(TIDY, "--quiet", *files, "--", *command["arguments"][1:])


def group_passes(number, names, commands):
    """Whether clang-tidy finds nothing in files that are included by one: most of its time goes into headers."""
    group = LINT / f"group_{number}.cpp"
    lines = [f'#include "{ROOT / name}"' for name in names]
    group.write_text("// NOLINTBEGIN(bugprone-suspicious-include)\n" + "\n".join(lines)
                     + "\n// NOLINTEND(bugprone-suspicious-include)\n")
    return tidy([group], commands[names[0]]).returncode == 0


def passes(name, commands):
    """Prints what clang-tidy finds in one file. Returns whether it found nothing."""
    found = tidy([ROOT / name], commands[name])
    if found.returncode != 0:
        print(f"{found.stdout}{'' if found.stdout else found.stderr}", end="", flush=True)
    return found.returncode == 0


def failing(number, names, commands, stamps):
    """Those of a group in which clang-tidy finds anything; of the others it is noted that they passed."""
    whole = len(names) > 1 and group_passes(number, names, commands)
    failed = [] if whole else [name for name in names if not passes(name, commands)]
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in set(names) - set(failed):
        stamps[name].touch()
    return failed


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
    # Whose headers are included. Elsewhere than on Debian, a new version of one is not noticed.
    listed = output_of("dpkg-query", "-W", "*-dev").stdout if shutil.which("dpkg-query") else ""
    packages = "".join(re.findall(r"^\S+\t\S+\n", listed, re.MULTILINE))  # that are installed
    version = output_of(TIDY, "--version").stdout
    salt = "\0".join([(ROOT / ".clang-tidy").read_text(), version, packages]).encode()
    known = sorted(product & commands.keys())
    stamps = {name: CACHE / hash_of(commands[name], salt) for name in known}
    groups = grouped([name for name in known if not stamps[name].exists()], commands)
    LINT.mkdir(exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = sum(pool.map(lambda group: failing(*group, commands, stamps), enumerate(groups)), [])
    print(f"clang-format: {len(formatted)} files; clang-tidy: {len(known)} files, "
          f"{len(failed)} with findings", file=sys.stderr)
    sys.exit(form.returncode != 0 or bool(failed))


main()
