"""Boots the image in a virtual machine, asks it, and takes the power away. image/test calls this; see --help there."""

import argparse
import pathlib
import shutil
import sys
import tempfile
import time

import checks
from vm import Failure, Machine, kvm_works

CHANGES = """
set -e
cd /tmp
schoolgatectl policy export >policy.toml
printf '\\n[[rule]]\\naction = "block"\\nname = "%s"\\nreason = "a test"\\n' "$NAME" >>policy.toml
chmod 0644 policy.toml
schoolgatectl policy import /dev/stdin <policy.toml
"""


class Report:
    """What was done, with its seconds."""

    def __init__(self):
        self.lines = []
        self.failed = 0

    def step(self, title, action, *arguments):
        started = time.monotonic()
        try:
            value = action(*arguments)
        except Exception as error:  # each check is told, whatever it stumbled over
            self.failed += 1
            self.tell("FAILED", title, time.monotonic() - started, f": {type(error).__name__}: {error}")
            return None
        self.tell("ok", title, time.monotonic() - started, f": {value}" if value is not None else "")
        return value

    def tell(self, state, title, seconds, more):
        line = f"{state:7} {seconds:6.1f} s  {title}{more}"
        self.lines.append(line)
        print(line, flush=True)


def boot_times(box):
    return box.run("systemd-analyze time | head -n 1").strip()


def publish(box, name):
    """An administrator's change, which counts from the moment that the command is done."""
    return box.run(f"NAME={name}; export NAME; {CHANGES}")


def has_rule(box, name):
    checks.need(name in box.run("schoolgatectl policy export"), f"the rule for {name} is gone")


def first_boot(report, box):
    box.start()
    seconds = report.step("first boot: from power-on to the first answer", lambda: round(box.wait_for_dns()))
    if seconds is None:
        return False
    report.step("the console's code comes", box.run, "systemctl is-system-running --wait >/dev/null; true")
    report.step("boot times", boot_times, box)
    for title, check in checks.OF_A_BOX:
        report.step(title, check, box)
    return True


def power_cut(report, box):
    name = "kept.example"
    machine_id = report.step("who the box is", lambda: box.run("cat /etc/machine-id").strip())
    report.step("an administrator blocks a site", publish, box, name)
    box.kill()
    box.start()
    report.step("second boot: from power-on to the first answer", lambda: round(box.wait_for_dns()))
    report.step("what the administrator did is there", has_rule, box, name)
    report.step("it is the same box", lambda: checks.need(box.run("cat /etc/machine-id").strip() == machine_id, "another machine-id"))
    report.step("no unit failed", checks.nothing_failed, box)
    report.step("questions are answered and blocked", checks.answers_and_blocks, box)
    report.step("the audit verifies", box.run, "schoolgatectl audit verify >/dev/null")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--arch", default="amd64")
    parser.add_argument("--public-key")
    parser.add_argument("--keep", help="a folder for the virtual machine, which stays")
    given = parser.parse_args()

    report = Report()
    print(f"KVM: {'used' if kvm_works() else 'runs no guest here, so everything is emulated'}", flush=True)
    report.step("the files to publish", checks.files_are_right, given.out, given.arch)
    if given.public_key:
        report.step("their signature", checks.signature_is_right, given.out, given.public_key)
    folder = given.keep or tempfile.mkdtemp(prefix="schoolgate-vm-")
    box = Machine(given.image, pathlib.Path(folder) / "box", given.arch)
    try:
        if first_boot(report, box):
            power_cut(report, box)
    finally:
        box.kill()
        if report.failed:
            print("--- the console's last words\n" + box.console()[-2000:], file=sys.stderr)
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(report.lines) - report.failed} of {len(report.lines)} as they should be")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"image/test: {failure}")
