#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The console examples of the texts: found, made into scripts, and compared with what the programs print.

examples.py list FILE...                 one line for each example: number, scene, position
examples.py script NUMBER FILE...        the example as a bash script; it marks its output, see mark()
examples.py compare NUMBER OUTPUT FILE...  TAP; with UPDATE=1 the output is written into the text

An example is a block of README.md between ```console and ```, or of a manual page between `.Bd -literal` and `.Ed`,
whose lines with a prompt (`# ` or `$ `) are commands; the lines below a command are its output. A block that begins
with a section of the configuration is checked by `shakeoffd --check`. A line `<!-- example: SCENE -->` or
`.\\\\" example: SCENE` before it names the scene that it is played in (default: fresh). `...` means any lines. Output
that is not shown is not compared, but a command has to succeed, unless `echo $?` follows it. Numbers and durations may
differ, and so may widths.

Environment: ROOT where `make install` has installed to; LOG and PIDS for the output of a command in the background, and
its process; NOT_RUN commands that are not run, one a line.
"""
import dataclasses
import os
import re
import sys

MARK = "\x01"
CONFIGURATION = "[daemon]", "[discovered]", "[service "
SCENE = re.compile(r'(?:<!-- |\.\\" )example: (\w+)')


@dataclasses.dataclass
class Step:
    command: str
    line: int  # of its output's first line in the file, counted from 0
    shown: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Example:
    path: str
    line: int
    scene: str
    steps: list

    def place(self):
        return f"{os.path.basename(self.path)}:{self.line}"


def from_roff(line):
    return line.replace("\\&", "").replace("\\-", "-").replace("\\e", "\\")


def to_roff(line):
    line = line.replace("\\", "\\e")
    return f"\\&{line}" if line[:1] in (".", "'") else line


def steps_of(lines, first):
    steps = []
    for number, line in enumerate(lines, first):
        if steps and steps[-1].command.endswith("\\") and not steps[-1].shown:
            steps[-1].command += f"\n{line}"
            steps[-1].line = number + 1
        elif line.startswith(("# ", "$ ")):
            steps.append(Step(line[2:], number + 1))
        elif steps:
            steps[-1].shown.append(line)
    return steps


def read(path):
    """Returns the examples of a text."""
    roff = not path.endswith(".md")
    begin, end = (".Bd -literal", ".Ed") if roff else ("```", "```")
    with open(path) as file:
        lines = file.read().splitlines()
    found, scene, number = [], "fresh", 0
    while number < len(lines):
        named = SCENE.match(lines[number])
        if named:
            scene = named[1]
        elif lines[number].startswith(begin):
            last = lines.index(end, number + 1)
            block = lines[number + 1:last]
            if roff:
                block = [from_roff(line) for line in block]
            if block and block[0].startswith(("# ", "$ ")):
                found.append(Example(path, number + 1, scene, steps_of(block, number + 1)))
            elif block and block[0].startswith(CONFIGURATION):
                text = "\n".join(block)
                found.append(Example(path, number + 1, scene, [Step(f"is_good_configuration <<'END'\n{text}\nEND", last)]))
            scene, number = "fresh", last
        number += 1
    return found


# ------------------------------------------------------------------------------------------------------------- to run it


def to_lab(text):
    """Translates the text's form to the lab's."""
    text = re.sub(r"\beth0\b", "s0", text)
    return re.sub(r"(/etc/shakeoff|/usr/local/)", lambda path: os.environ["ROOT"] + path[1], text)


def from_lab(text):
    return re.sub(r"\bs0\b(  (?= ))?", "eth0", text.replace(os.environ["ROOT"], ""))  # in a table its column stays


def script(example):
    not_run = os.environ["NOT_RUN"].splitlines()
    print('mark() { local status=$?; printf "\\1%s %s\\n" "$1" "$status"; return "$status"; }')
    print('is_good_configuration() { cat >checked.conf && shakeoffd --check checked.conf; }')
    print('make() { command make -s -C "$TOP" "$@" >/dev/null; }')
    for number, step in enumerate(example.steps):
        print(f"mark {number}")
        if step.command in not_run:
            continue
        command = to_lab(step.command)
        if command.endswith(" &"):
            print(f'{command[:-2]} >>"$LOG" 2>&1 </dev/null & echo $! >>"$PIDS"; settled')
        else:
            print(command)
    print(f"mark {len(example.steps)}")


# ------------------------------------------------------------------------------------------------------- what came of it


def plain(line):
    """Replaces what varies between runs and machines."""
    line = re.sub(r"\b[0-9a-f]{16}\b", "H", line)
    line = re.sub(r"\b\d+ ?(ms|s|min|h|d)\b", "D", line)
    line = re.sub(r"\b(\d+[dhms])+\b", "D", line)
    return " ".join(re.sub(r"\d+", "N", line).split())


def fits(shown, printed):
    """Returns whether lines are equal; ... is any number of lines."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(fits(shown[1:], printed[at:]) for at in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and fits(shown[1:], printed[1:])


def output_of(text):
    """Returns [(output, exit status)] of the commands."""
    parts = re.split(MARK + r"(\d+) (\d+)\n", text)
    outputs, statuses = parts[3::3], parts[5::3]
    return [(from_lab(output).rstrip("\n").split("\n") if output.strip() else [], int(status))
            for output, status in zip(outputs, statuses)]


def same(step, printed):
    return fits([plain(line) for line in step.shown], [plain(line) for line in printed])


def update(example, outputs):
    """Writes the printed output into the text; lines with `...` stay."""
    with open(example.path) as file:
        lines = file.read().splitlines()
    for step, (printed, _) in reversed(list(zip(example.steps, outputs))):
        if step.shown and "..." not in step.shown and not same(step, printed):
            new = printed if example.path.endswith(".md") else [to_roff(line) for line in printed]
            lines[step.line:step.line + len(step.shown)] = new
    with open(example.path, "w") as file:
        file.write("\n".join(lines) + "\n")


def compare(example, text):
    not_run = os.environ["NOT_RUN"].splitlines()
    outputs = output_of(text)
    if len(outputs) < len(example.steps):
        print(f"not ok - {example.place()}: did not get to its end")
    for number, (step, (printed, status)) in enumerate(zip(example.steps, outputs)):
        what = f"{example.place()}: {step.command.splitlines()[0]}"
        following = example.steps[number + 1].command if number + 1 < len(example.steps) else ""
        if step.command in not_run:
            continue
        fails = status and following != "echo $?"
        good = not fails and (not step.shown or same(step, printed))
        print(f"{'ok' if good else 'not ok'} - {what}")
        if good:
            continue
        print(f"# exit status {status}")
        for title, side in (("the text", step.shown), ("printed", printed)):
            for line in side:
                print(f"# {title}: {line}")
    if os.environ.get("UPDATE") == "1":
        update(example, outputs)


def main():
    what, *arguments = sys.argv[1:]
    own = {"list": 0, "script": 1, "compare": 2}[what]
    examples = [example for path in arguments[own:] for example in read(path)]
    if what == "list":
        for number, example in enumerate(examples):
            commands = " ; ".join(step.command.splitlines()[0] for step in example.steps)
            print(number, example.scene, example.place(), commands, sep="\t")
    elif what == "script":
        script(examples[int(arguments[0])])
    else:
        with open(arguments[1], errors="replace") as file:
            compare(examples[int(arguments[0])], file.read())


if __name__ == "__main__":
    main()
