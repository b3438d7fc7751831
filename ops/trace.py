"""Judges the files that traced tests have opened by the list of allowed ones (see tests/trace/allowed.txt)."""

import collections
import dataclasses
import fnmatch
import glob
import os
import re
import sys
import tempfile

# The path behind the descriptor that the call returned is the file that was opened: no link hides it.
OPEN = re.compile(
    r'^(?:open|openat|openat2|creat)\((?:(?:AT_FDCWD|\d+)(?:<[^>]*>)?, )?"(?P<name>(?:[^"\\]|\\.)*)".*'
    r"\)\s+= \d+<(?P<path>.*?)>(?:\(deleted\))?$"
)
EXEC = re.compile(r'^execve(?:at)?\((?:[^"]*)"(?P<program>(?:[^"\\]|\\.)*)".*\)\s+= 0$')
START = re.compile(r"^(?:clone|clone3|fork|vfork)\((?P<how>.*)\)\s+= (?P<child>\d+)")
# Ends of names of files that exist under no name, or no more.
UNNAMED = re.compile(r"(?:/#\d+)? \(deleted\)$")


def unescaped(text):
    """A string of strace with its escapes resolved."""
    return text.encode("latin-1", "replace").decode("unicode_escape", "replace")


@dataclasses.dataclass
class Trace:
    """What the processes of one test have done: files by program, and the number of processes."""

    opened: list
    processes: int


def events(path):
    """What a thread did, in order: it became a program, started a thread or a process, or opened a file."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if call := OPEN.match(line):
                yield "open", (unescaped(call["name"]), UNNAMED.sub("", unescaped(call["path"])))
            elif call := EXEC.match(line):
                yield "exec", os.path.basename(unescaped(call["program"]))
            elif call := START.match(line):
                yield ("thread" if "CLONE_THREAD" in call["how"] else "process"), int(call["child"])


def traced(directory):
    """Reads the traces of one test. Each thread has one, named by its number; a thread that was started by another begins
    as that one's program. A process that becomes several programs in turn is named by all of them: `prlimit>ffmpeg`."""
    traces = {int(name.rsplit(".", 1)[1]): list(events(name)) for name in glob.glob(os.path.join(directory, "trace.*"))}
    kinds = {child: kind for did in traces.values() for kind, child in did if kind in ("thread", "process")}
    waiting = [(thread, "unknown") for thread in traces if thread not in kinds]
    found = Trace([], sum(kinds.get(thread) != "thread" for thread in traces))
    own = re.compile(rf"^/proc/(?:{'|'.join(map(str, traces))})(?:/task/\d+)?(?=/|$)")
    while waiting:
        thread, program = waiting.pop()
        started_as = program
        for kind, what in traces.pop(thread, []):
            if kind == "exec":
                program = what if program == started_as else f"{program}>{what}"
            elif kind == "open":
                name, path = what
                found.opened.append((program, name, own.sub("/proc/self", path)))
            else:
                waiting.append((what, program))
    if traces:
        sys.exit(f"{directory}: threads {sorted(traces)} were started by none")
    return found


class Rules:
    """The lists of allowed files by program, and the files that no product process may open."""

    def __init__(self, path):
        self.sections, entries = {}, []
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                line = line.split("#", 1)[0].strip()
                if line.startswith("[") and line.endswith("]"):
                    entries = []
                    self.sections.update({pattern: entries for pattern in line[1:-1].split()})
                elif line:
                    entries.append(line)

    def allows(self, program, name, path, places):
        """Whether a program may open a file."""
        patterns = [pattern for pattern in self.sections if pattern not in ("*", "others")]
        own = next((pattern for pattern in patterns if fnmatch.fnmatchcase(program, pattern)), "others")
        allowed = False
        for entry in self.sections["*"] + self.sections[own]:
            forbids, entry = entry.startswith("!"), entry.lstrip("!")
            how, _, pattern = entry.rpartition(" ") if entry.startswith(("name ", "above ")) else ("", "", entry)
            if matches(how, pattern.format(**places), name, path):
                allowed = not forbids
        return allowed


def matches(how, pattern, name, path):
    """Whether a pattern of the list matches an opened file."""
    if how == "above":
        return pattern.startswith(path.removesuffix("/") + "/")
    seen = name if how == "name" else path
    below = pattern + "*" if pattern.endswith("/") else pattern
    return fnmatch.fnmatchcase(seen, pattern.removesuffix("/")) or fnmatch.fnmatchcase(seen, below)


def main(into, allowed):
    rules = Rules(allowed)
    tests, processes, opened = 0, 0, 0
    programs, refused = collections.Counter(), {}
    for directory in sorted(glob.glob(os.path.join(into, "*/"))):
        trace = traced(directory)
        with open(os.path.join(directory, "name"), encoding="utf-8") as name:
            test = name.read().strip()
        places = {
            "test": os.path.realpath(os.path.join(directory, "t")),
            "tree": os.getcwd(),
            "temp": os.path.realpath(tempfile.gettempdir()),
        }
        tests, processes, opened = tests + 1, processes + trace.processes, opened + len(trace.opened)
        for program, name, path in trace.opened:
            programs[program] += 1
            if not rules.allows(program, name, path, places):
                refused.setdefault((program, path.replace(places["test"], "{test}")), []).append(test)
    for program, count in programs.most_common():
        print(f"{program}: {count} files")
    for (program, path), by in sorted(refused.items()):
        print(f"NOT ALLOWED: {program} opened {path} ({len(by)} times) in {by[0]}")
    print(f"trace: {tests} tests, {processes} processes, {opened} opened files, {len(refused)} not allowed")
    sys.exit(1 if refused or not opened else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
