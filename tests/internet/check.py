#!/usr/bin/env python3
"""Asks a resolver everything in EXPECTED.tsv, and prints what it answers otherwise.

    check.py [--from ks2] [--at 10.20.2.1] [--port 53] [--skip FLAG]... [--quiet] [NAME...]

Runs inside `up --run`, or anywhere while an internet is up.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Line:
    """One line of EXPECTED.tsv."""

    name: str
    type: str
    flags: list
    rcodes: list
    data: str
    note: str

    def faults(self, answer):
        """What is wrong with an answer."""
        if answer is None:
            return ["no answer"]
        found = []
        if answer.rcode not in self.rcodes:
            found.append(answer.rcode)
        if ("ad" in self.flags) != answer.ad:
            found.append("AD is set" if answer.ad else "AD is not set")
        if self.data != "*" and not self.fits(answer.records):
            found.append(" | ".join(answer.records) or "no records")
        if self.data not in "*-" and ("do" in self.flags) != answer.signed:
            found.append("has signatures" if answer.signed else "has no signatures")
        return found

    def fits(self, records):
        expected = [] if self.data == "-" else self.data.split(" | ")
        return len(expected) == len(records) and all(
            any(matches(pattern, record) for record in records) for pattern in expected
        )


@dataclass
class Answer:
    rcode: str
    ad: bool
    signed: bool
    records: list
    seconds: float


def matches(pattern, record):
    if pattern.endswith("..."):
        return record.startswith(pattern[:-3])
    return pattern.lower() == record.lower()


def read_expected():
    lines = []
    for text in (HERE / "EXPECTED.tsv").read_text().splitlines():
        if text and not text.startswith("#"):
            name, kind, flags, rcode, data, note = text.split("\t")
            lines.append(Line(name, kind, flags.split(","), rcode.split("|"), data, note))
    return lines


def ask(line, options):
    """One question by dig; None if nobody answers."""
    command = [HERE / "in", options.client, "dig", "+noall", "+comments", "+answer", "+nocookie", "+tries=1"]
    command += [f"+time={40 if 'slow' in line.flags else 10}", f"@{options.at}", "-p", options.port]
    command += [f"+{flag}" for flag, word in (("cdflag", "cd"), ("dnssec", "do")) if word in line.flags]
    begun = time.monotonic()
    done = subprocess.run([*command, "-q", line.name, "-t", line.type], capture_output=True, text=True)
    seconds = time.monotonic() - begun
    rcode, flags, records = None, [], []
    for text in done.stdout.splitlines():
        if "status: " in text:
            rcode = text.split("status: ")[1].split(",")[0]
        elif text.startswith(";; flags:"):
            flags = text.split(";")[2].split()
        elif text and not text.startswith(";"):
            records.append(" ".join(text.split()[3:]))
    if rcode is None:
        return None
    bare = [record for record in records if not record.startswith("RRSIG ")]
    return Answer(rcode, "ad" in flags, len(bare) < len(records), bare, seconds)


def show(line, answer, faults):
    seconds = f"{answer.seconds:6.2f} s" if answer else ""
    said = f"{answer.rcode}{' ad' if answer.ad else ''}" if answer else ""
    verdict, flags = "DIFFERS" if faults else "ok", ",".join(line.flags)
    print(f"{verdict:<8}{line.name:<42} {line.type:<9} {flags:<9} {said:<12} {seconds} {line.note}")
    for fault in faults:
        print(f"{'':8}expected {' or '.join(line.rcodes)}, {line.data}; got: {fault}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--from", dest="client", default="ks2", help="the namespace that asks")
    parser.add_argument("--at", default="10.20.2.1", help="the resolver")
    parser.add_argument("--port", default="53", help="its port")
    parser.add_argument("--skip", action="append", default=[], help="leave out lines with this flag")
    parser.add_argument("--quiet", action="store_true", help="print only what differs")
    parser.add_argument("names", nargs="*", metavar="NAME", help="ask for these only")
    options = parser.parse_args()
    lines = [
        line
        for line in read_expected()
        if not set(options.skip) & set(line.flags) and (not options.names or line.name in options.names)
    ]
    wait_for_resolver(options)
    # The slow ones first, as they mostly wait.
    with ThreadPoolExecutor(24) as slow, ThreadPoolExecutor(4) as quick:
        asked = [((slow if "slow" in line.flags else quick).submit(ask, line, options), line) for line in lines]
    results = [(line, done.result()) for done, line in asked]
    results += [(line, ask(line, options)) for line in lines if "again" in line.flags]
    count = Counter()
    for line, answer in results:
        faults = line.faults(answer)
        count[bool(faults)] += 1
        if faults or not options.quiet:
            show(line, answer, faults)
    print(f"{count[False]} as expected, {count[True]} not")
    return bool(count[True])


def wait_for_resolver(options):
    """Asks for the root's keys until there is an answer at all."""
    end = time.monotonic() + 20
    command = [HERE / "in", options.client, "dig", "+tries=1", "+time=1", f"@{options.at}", "-p", options.port, ".", "DNSKEY"]
    while subprocess.run(command, capture_output=True).returncode:
        if time.monotonic() > end:
            sys.exit(f"check: nobody answers at {options.at}")


if __name__ == "__main__":
    sys.exit(main())
