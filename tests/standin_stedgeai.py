#!/usr/bin/env python3
"""A stand-in for ST's stedgeai, which nobody may hand on: it replays a recorded run.

Not the compiler: it looks at no model. A file ``scenario.json`` beside it says what it does:
``stdout`` (a file to print), ``files`` (name -> file that it writes to --output), ``status``,
``version``, ``hang`` (seconds; a child holds the output open, too), ``signal`` (ends itself),
``megabytes`` (prints so many), ``bytes`` (hexadecimal, printed as they are), ``touch`` (it tries to
make a file beside the model and to reach an address, and prints what came of it).

It says how it was called in the file ``calls``.
"""

import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path


def attempt(work):
    try:
        work()
    except OSError as error:
        return type(error).__name__
    return "done"


def main(arguments):
    here = Path(__file__).resolve()
    scenario = json.loads(here.with_name("scenario.json").read_bytes())
    if "--version" in arguments:
        version = scenario.get("version", "2.2.0-20266 2adc00962")
        sys.stdout.write(f"ST Edge AI Core v{version}\n")
        return 0
    told = Path(scenario["calls"])
    told.write_text(json.dumps([arguments, dict(os.environ)]))  # noqa: TID251 - what it was given
    model = Path(arguments[arguments.index("--model") + 1])
    told.with_name("seen.json").write_text(
        json.dumps(sorted(p.name for p in model.parent.iterdir()))
    )
    if scenario.get("touch"):
        sys.stdout.write(f"touch: {attempt(model.with_name('made').touch)}\n")
        sys.stdout.write(
            f"reach: {attempt(lambda: socket.create_connection(('1.1.1.1', 53), 3))}\n"
        )
        sys.stdout.flush()
    if seconds := scenario.get("hang"):
        sys.stdout.write("working\n")
        sys.stdout.flush()
        child = os.fork()
        if child:
            told.with_name("child").write_text(str(child))
        time.sleep(seconds)
    out = sys.stdout.buffer
    for _ in range(scenario.get("megabytes", 0)):
        out.write(b"all work and no play\n" * 49932)
    out.write(bytes.fromhex(scenario.get("bytes", "")))
    if scenario.get("stdout"):
        out.write(Path(scenario["stdout"]).read_bytes())
    out.flush()
    folder = Path(arguments[arguments.index("--output") + 1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in scenario.get("files", {}).items():
        shutil.copyfile(source, folder / name)
    if number := scenario.get("signal"):
        os.kill(os.getpid(), number)
    return scenario.get("status", 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
