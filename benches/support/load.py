"""The load of the benches: `benches/load`, and dnsperf beside it. All of it runs on the second processor."""

import functools
import json
import re
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
THERE = ["taskset", "-c", "1"]


@functools.cache
def program():
    """Builds the load, which takes some seconds."""
    folder = ROOT / "target/load"
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", folder]
    subprocess.run([*command, "--manifest-path", ROOT / "benches/load/Cargo.toml"], check=True)
    return folder / "release/load"


def questions(path, names):
    """Writes a file of questions for addresses."""
    path.write_text("".join(f"{name} A\n" for name in names))
    return path


def flood(port, file, seconds, outstanding, clients=None):
    """As many questions as are answered, so many in flight; from how many addresses, if not from one."""
    with start_flood(port, file, seconds, outstanding, clients) as process:
        return json.loads(process.communicate()[0])


def start_flood(port, file, seconds, outstanding, clients=None, before=THERE):
    words = [f"127.0.0.1:{port}", file, str(seconds), str(outstanding), *([str(clients)] if clients else [])]
    return subprocess.Popen([*before, program(), "flood", *words], stdout=subprocess.PIPE, text=True)


class Pace:
    """Questions at a steady pace, until it is told to finish."""

    def __init__(self, address, rate, kinds, before=THERE):
        kinds = [f"{title}={file}" for title, file in kinds.items()]
        command = [*before, program(), "pace", address, str(rate), "-", *kinds]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def finish(self, after=0):
        """Goes on for some seconds, and gives what it measured: times in microseconds."""
        time.sleep(after)
        output, _ = self.process.communicate()
        return json.loads(output)


def dnsperf(port, file, *how):
    """What became of questions: as `flood` has it."""
    command = [*THERE, "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", file, "-c", "8", *how]
    out = subprocess.run(command, capture_output=True, text=True).stdout
    number = lambda what: float(re.search(rf"{what}:?\s+([\d.]+)", out).group(1))
    codes = {code: int(count) for code, count in re.findall(r"([A-Z]+) (\d+) \([\d.]+%\)", out)}
    counts = {"answered": number("Queries completed"), "lost": number("Queries lost"), "codes": codes}
    return counts | {"seconds": number(r"Run time \(s\)")}
