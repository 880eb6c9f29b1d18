"""Updates that are good, bad and broken off, and power cuts under load. image/test --long calls this."""

import argparse
import contextlib
import datetime
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import checks
from channel import Channel, tamper
from run import Report, has_rule, publish
from vm import Failure, Machine, kvm_works, run

UPDATE = "/usr/lib/schoolgate/update"
KEPT = "kept.example"


def version_of(box):
    return box.run("cat /usr/lib/schoolgate/version").strip()


def slot_of(box):
    return box.run("/usr/lib/schoolgate/slots get-current").strip()


def is_well(box, rule=KEPT):
    """The box answers with the school's policy, and what was acknowledged is there."""
    checks.answers_and_blocks(box)
    has_rule(box, rule)
    box.run("schoolgatectl audit verify >/dev/null")


def settled(box, timeout=600):
    """Waits until the box has decided whether its version is good."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if "active (exited)" in box.run("systemctl status schoolgate-mark-good --no-pager | sed -n 3,5p"):
            return
        time.sleep(3)
    raise Failure("the box does not decide whether its version is good")


def refused(box, address, words):
    before = version_of(box), slot_of(box), box.run("/usr/lib/schoolgate/slots get-primary")
    code, said = box.try_run(f"{UPDATE} install {address}")
    checks.need(code != 0, f"it was installed: {said}")
    checks.need(any(word in said for word in words), f"refused, but for another reason: {said}")
    checks.need((version_of(box), slot_of(box), box.run("/usr/lib/schoolgate/slots get-primary")) == before,
                "something changed all the same")
    checks.need(box.try_run("test -s /data/system/update/installed")[0] != 0, "it waits to be started")
    is_well(box)
    return said.strip().splitlines()[-1]


def refused_channel(box, words):
    code, said = box.try_run(f"{UPDATE} check")
    checks.need(code != 0 and words in said, f"the channel was believed: {said}")
    return said.strip()


def wait_for_result(box, result, version, timeout=3000):
    """Waits until the box, which restarts meanwhile as often as it takes, says what became of an update."""
    deadline = time.monotonic() + timeout
    said = ""
    while time.monotonic() < deadline:
        with contextlib.suppress(Failure):
            said = box.run("cat /data/system/update/last", timeout=30)
            if f"result={result}\nversion={version}\n" in said:
                settled(box)
                return
        time.sleep(5)
    raise Failure(f"of version {version} it was never said that it is {result}, but {said!r}: " + box.console()[-400:])


def bundles_of(given, folder):
    """The bundles of the builds, and what is made of them: tampered with, and signed by a stranger."""
    made = {name: pathlib.Path(given.bundles) / f"schoolgate-{version}-{given.arch}.raucb"
            for name, version in (("old", "1.0.0"), ("good", "1.1.0"), ("boots-not", "1.2.0"), ("fails", "1.3.0"))}
    made["tampered"] = folder / "tampered.raucb"
    tamper(made["good"], made["tampered"])
    made["stranger"] = folder / "stranger.raucb"
    sign_by_stranger(given, made["good"], made["stranger"])
    return made


def sign_by_stranger(given, bundle, copy):
    """With the tools of the root in which images are built."""
    builder = pathlib.Path(given.builder)
    place = builder / "tmp" / "signing"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(given.keys, place)
    shutil.copy(bundle, place / "in.raucb")
    run("unshare", "--mount", "--pid", "--fork", "sh", "-ec", 'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"',
        str(builder), "rauc", "resign", "--cert=/tmp/signing/stranger.pem", "--key=/tmp/signing/stranger.key",
        "--keyring=/tmp/signing/keyring.pem", "--signing-keyring=/tmp/signing/stranger-ca.pem",
        "/tmp/signing/in.raucb", "/tmp/signing/out.raucb", stderr=subprocess.DEVNULL)
    shutil.move(place / "out.raucb", copy)
    shutil.rmtree(place)


def prepare(box, channel):
    box.start()
    box.wait_for_dns()
    publish(box, KEPT)
    settled(box)
    box.run(f"echo {channel.address}/stable >/data/system/update/channel")


def refusals(report, box, channel, made):
    report.step("a bundle that was tampered with is refused", refused, box, channel.add(made["tampered"], "tampered.raucb"),
                ("tampered", "corrupt", "verity", "verification"))
    report.step("a bundle of another key is refused", refused, box, channel.add(made["stranger"], "stranger.raucb"),
                ("not signed",))
    channel.offer("1.1.0", "good.raucb", signer="stranger")
    report.step("a channel of another key is refused", refused_channel, box, "not signed")
    channel.offer("1.1.0", "good.raucb", days=-1)
    report.step("a channel whose time is over is refused", refused_channel, box, "counted until")


def full_disk(report, box, channel):
    def fill():
        box.run("fallocate -l $(( $(df --output=avail -B1 /data | tail -n 1) - 1000000 )) /data/full || true; "
                "dd if=/dev/zero of=/data/full2 bs=64K 2>/dev/null; true")
        checks.answers_and_blocks(box)
        code, said = box.try_run(f"{UPDATE} auto")
        checks.answers_and_blocks(box)
        box.run("rm -f /data/full /data/full2; sync")
        checks.need(version_of(box) == "1.0.0", "another version runs")
        is_well(box)
        return f"ended with {code}: {said.strip().splitlines()[-1] if said.strip() else ''}"

    box.run("echo 00:00-00:01 >/data/system/update/window")
    channel.offer("1.1.0", "good.raucb")
    report.step("with a full disk the box goes on answering", fill)
    box.run("rm -f /data/system/update/installed")


def good_update(report, box, channel):
    def update():
        box.run("echo 00:00-23:59 >/data/system/update/window")
        channel.offer("1.1.0", "good.raucb")
        box.run("systemctl start --no-block schoolgate-update.service")
        wait_for_result(box, "good", "1.1.0")
        checks.need(version_of(box) == "1.1.0", "another version runs")
        is_well(box)
        return f"slot {slot_of(box)}"

    report.step("a good update is installed, started and found good", update)
    channel.offer("1.0.0", "old.raucb", serial=1)
    report.step("a channel that is older than the last is refused", refused_channel, box, "older")
    channel.serial = 10


def bad_update(report, box, channel, title, version, bundle):
    def update():
        running, slot = version_of(box), slot_of(box)
        channel.offer(version, bundle)
        box.run("systemctl start --no-block schoolgate-update.service")
        wait_for_result(box, "failed", version)
        checks.need((version_of(box), slot_of(box)) == (running, slot), "another version runs")
        is_well(box)
        said = box.run(f"{UPDATE} auto")
        checks.need("not tried again" in said, f"it would be tried again: {said}")

    report.step(title, update)


def killed_updates(report, box, address, rounds, seed):
    """The power goes at any moment of an update: while it is fetched, written, switched to, started, and judged."""
    chance = random.Random(seed)
    for each in range(1, rounds + 1):
        def one():
            before = slot_of(box)
            box.run(f"rm -f /data/system/update/installed; (sleep 1; {UPDATE} install {address} && {UPDATE} switch) >/dev/null 2>&1 &")
            wait = chance.uniform(1, 240)
            time.sleep(wait)
            box.kill()
            box.start()
            seconds = box.wait_for_dns()
            is_well(box)
            settled(box)
            return f"after {wait:.0f} s, slot {before} to {slot_of(box)}, answered {seconds:.0f} s after power-on"

        report.step(f"killed in an update, round {each} of {rounds}", one)
        if not box.alive():
            box.start()
            box.wait_for_dns()


CHANGING = """
number=$1
while :; do
    number=$((number + 1))
    name=change-$number.example
    schoolgatectl policy export >/run/policy.toml || continue
    printf '\\n[[rule]]\\naction = "block"\\nname = "%s"\\nreason = "a test"\\n' $name >>/run/policy.toml
    # Acknowledged is what the command said is done; the host reads it on the serial port.
    if schoolgatectl policy import /dev/stdin </run/policy.toml >/dev/null 2>&1; then
        echo "ACKNOWLEDGED $number." >/dev/ttyS0
    fi
done
"""


def asking(box, stop):
    """Questions as fast as answers come."""
    count = 0
    while not stop.is_set():
        box.ask(f"name-{count}.example", timeout=1)
        count += 1


def acknowledged(box):
    return {int(number) for number in re.findall(r"ACKNOWLEDGED (\d+)\.", box.console())}


def power_cuts(report, box, rounds, seed):
    """Killed while questions are asked and an administrator changes things: nothing acknowledged is lost."""
    chance = random.Random(seed)
    last = 0
    for each in range(1, rounds + 1):
        def one():
            nonlocal last
            stop = threading.Event()
            load = threading.Thread(target=asking, args=(box, stop), daemon=True)
            load.start()
            box.run(f"cat >/run/changing <<'SCRIPT'\n{CHANGING}\nSCRIPT\nsetsid bash /run/changing {last} >/dev/null 2>&1 &")
            wait = chance.uniform(5, 40)
            time.sleep(wait)
            box.kill()
            stop.set()
            load.join()
            promised = acknowledged(box)
            box.start()
            seconds = box.wait_for_dns()
            checks.answers_and_blocks(box)
            policy = box.run("schoolgatectl policy export")
            there = {int(number) for number in re.findall(r"change-(\d+)\.example", policy)}
            checks.need(promised <= there, f"acknowledged and lost: {sorted(promised - there)}")
            box.run("schoolgatectl audit verify >/dev/null")
            box.run("schoolgatectl log stats >/dev/null && schoolgatectl log search --from 1h --limit 1 >/dev/null")
            box.run("schoolgatectl user list | grep -q tester")
            checks.need("data-lost" not in box.run("ls /run/schoolgate"), "the data partition is lost")
            checks.nothing_failed(box)
            # One that was done and not acknowledged any more counts on from here.
            last = max(there, default=0)
            return f"{len(promised)} changes acknowledged so far, answered {seconds:.0f} s after power-on"

        report.step(f"power cut under load, round {each} of {rounds}", one)
        if not box.alive():
            box.start()
            box.wait_for_dns()
    report.step("there was something to lose", lambda: checks.need(
        len(acknowledged(box)) >= rounds, f"only {len(acknowledged(box))} changes were acknowledged"))


def cut_off(box, starts, began):
    """Starts that are cut off as soon as the system is up; `began` is how many such there are already."""
    for _ in range(starts - began):
        said = len(box.console())
        box.kill()
        box.start()
        box.wait_for_console("Schoolgate", since=said)
    box.kill()
    box.start()
    box.wait_for_dns()
    is_well(box)
    settled(box)


def cut_off_starts(report, box, address):
    """Power that comes and goes: no version is lost by it, and none that never proved good stays."""
    def proven():
        box.run(f"{UPDATE} spare")
        slot = slot_of(box)
        cut_off(box, 3, began=0)
        checks.need(slot_of(box) != slot, "it was tried a fourth time, and GRUB counts three")
        checks.need(box.run("/usr/lib/schoolgate/slots get-primary").strip() == slot, "the proven slot does not come first again")
        box.kill()
        box.start()
        box.wait_for_dns()
        is_well(box)
        checks.need(slot_of(box) == slot, "the next start did not take the proven slot")

    def on_trial():
        before = version_of(box)
        box.run(f"{UPDATE} install {address}")
        said = len(box.console())
        with contextlib.suppress(Failure):
            box.try_run(f"{UPDATE} switch", timeout=20)
        box.wait_for_console("Schoolgate 1.1.0", since=said)
        cut_off(box, 3, began=1)
        checks.need(version_of(box) == before, "a version that never proved good runs")
        said = box.run("cat /data/system/update/last")
        checks.need("result=failed\nversion=1.1.0\n" in said, f"it is not said that the update failed: {said}")

    report.step("three starts of a proven version that are cut off: the other slot answers, then it comes first again", proven)
    report.step("three starts of an update that are cut off: the version before answers, and stays", on_trial)


def read_only_data(report, box):
    """A disk with errors, whose file system can only be read any more, and then a program that has to start again."""
    def unreadable():
        box.run("echo u >/proc/sysrq-trigger")
        checks.need(box.try_run("touch /data/system/written")[0] != 0, "/data can still be written")
        checks.answers_and_blocks(box)
        box.run("systemctl kill --signal=KILL schoolgate; sleep 5")
        # A timer does this every five minutes.
        box.run("systemctl start --no-block schoolgate-health.service")
        time.sleep(5)
        box.wait_for_dns()
        is_well(box)
        checks.need(box.try_run("touch /data/system/written")[0] == 0, "/data can still not be written")

    report.step("on a disk that can only be read answers go on; when the program ends, the box starts again", unreadable)


def rescue(report, box):
    """Both slots bad: the rescue says what to do, answers nobody, and one of them is started again."""
    def offered():
        box.run("/usr/lib/schoolgate/slots set-state A bad; /usr/lib/schoolgate/slots set-state B bad; sync")
        said = len(box.console())
        box.kill()
        box.start()
        box.wait_for_console("Schoolgate could not start", since=said)
        checks.need(box.ask(checks.BLOCKED) is None, "it answers questions")
        slot = "1" if "A" in box.slot else "2"
        box.type_on_console(slot + "\n")
        box.wait_for_dns()
        is_well(box)

    box.slot = slot_of(box)
    report.step("with both slots bad there is a rescue, which starts one again", offered)


def install_from_stick(report, given, folder):
    """Started from a USB stick, the system is copied to the disk inside, which then starts without the stick."""
    inside = folder / "stick" / "inside.qcow2"
    stick = Machine(given.image, folder / "stick", given.arch, usb=True, extra=[
        "-drive", f"if=none,id=inside,format=qcow2,file={inside}", "-device", "virtio-blk-pci,drive=inside"])
    run("qemu-img", "create", "-q", "-f", "qcow2", str(inside), "8G")
    box = None

    def copy():
        stick.start()
        stick.wait_for_dns()
        checks.need("install to the disk inside" in stick.run("cat /usr/lib/schoolgate/console"), "no such choice")
        stick.run("/usr/lib/schoolgate/install-to-disk --yes vda")
        stick.kill()

    def start_the_copy():
        nonlocal box
        shutil.move(inside, folder / "stick" / "disk.qcow2")
        box = Machine(given.image, folder / "stick", given.arch)
        box.start()
        seconds = box.wait_for_dns()
        checks.answers_and_blocks(box)
        checks.root_is_sealed(box)
        size = int(box.run("df --output=size -m /data | tail -n 1"))
        checks.need(size > 5000, f"/data has {size} MB of a disk of 8 GB")
        return f"answered {seconds:.0f} s after power-on, /data has {size} MB"

    report.step("started from a stick, it is installed to the disk inside", copy)
    report.step("that starts without the stick", start_the_copy)
    for each in (stick, box):
        if each:
            each.kill()


def factory_reset(report, box):
    def reset():
        before = box.run("cat /etc/machine-id")
        with contextlib.suppress(Failure):
            box.try_run("/usr/lib/schoolgate/factory-reset", timeout=20)
        deadline = time.monotonic() + 120
        while box.ask(checks.BLOCKED) and time.monotonic() < deadline:
            time.sleep(2)
        box.wait_for_dns()
        checks.need(box.run("cat /etc/machine-id") != before, "it is the same box")
        checks.need(KEPT not in box.run("schoolgatectl policy export"), "the policy is still there")

    report.step("factory reset leaves a new box", reset)


def secure_boot(report, given, folder):
    """With Microsoft's keys in the firmware, as boxes are sold."""
    box = Machine(given.image, folder / "secure", given.arch, secure=True)

    def start():
        box.start()
        seconds = box.wait_for_dns()
        checks.need("[integrity]" in box.run("cat /sys/kernel/security/lockdown"), "the kernel is not locked down")
        state = box.run("od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-*").strip()
        checks.need(state == "1", "Secure Boot is off")
        settled(box)
        checks.need(box.run("/usr/lib/schoolgate/slots tries A").strip() == "0", "the counter was not cleared")
        return f"answered {seconds:.0f} s after power-on"

    report.step("with Secure Boot it starts, and counts", start)
    box.kill()


def other_architecture(report, given, folder):
    box = Machine(given.arm64_image, folder / "arm64", "arm64", memory=1024, cpus=2)
    try:
        box.start()
        if report.step("arm64: first boot, to the first answer", lambda: round(box.wait_for_dns(timeout=3600))) is not None:
            for title, check in (("questions are answered and blocked", checks.answers_and_blocks),
                                 ("no unit failed", checks.nothing_failed), ("the root is sealed", checks.root_is_sealed),
                                 ("its own self-test passes", checks.passes_self_test)):
                report.step(f"arm64: {title}", check, box)
    finally:
        box.kill()


def write_table(report, given):
    """A table that goes into image/RESULTS.md."""
    lines = [f"## {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} processors, "
             f"{'KVM' if kvm_works() else 'emulated'}", "", "| | seconds | what |", "| --- | --- | --- |"]
    for line in report.lines:
        state, seconds, _, what = line.split(None, 3)
        lines.append(f"| {state} | {float(seconds):.0f} | {what.replace('|', '/')} |")
    pathlib.Path(given.table).write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser()
    for name in ("--image", "--bundles", "--keys", "--builder", "--table"):
        parser.add_argument(name, required=True)
    parser.add_argument("--arch", default="amd64")
    parser.add_argument("--arm64-image")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--power-cuts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", action="append", choices=("updates", "slots", "kills", "power-cuts", "rescue", "stick", "secure-boot", "arm64"))
    parser.add_argument("--keep", help="a folder for the virtual machines, which stays")
    given = parser.parse_args()

    folder = pathlib.Path(given.keep or tempfile.mkdtemp(prefix="schoolgate-long-"))
    folder.mkdir(parents=True, exist_ok=True)
    wanted = given.only or ["updates", "slots", "rescue", "stick", "secure-boot", "kills", "power-cuts"] + (["arm64"] if given.arm64_image else [])
    report = Report()
    made = bundles_of(given, folder)
    channel = Channel(folder / "channel", given.keys)
    good = channel.add(made["good"], "good.raucb")
    for name in ("old", "boots-not", "fails"):
        channel.add(made[name], f"{name}.raucb")
    box = Machine(given.image, folder / "box", given.arch, forgets=True)
    try:
        if set(wanted) - {"arm64", "stick", "secure-boot"}:
            report.step("a box of version 1.0.0 with a rule of the school's", prepare, box, channel)
        if "updates" in wanted:
            refusals(report, box, channel, made)
            full_disk(report, box, channel)
            good_update(report, box, channel)
            report.step("a downgrade is refused", refused, box, f"{channel.address}/old.raucb", ("older",))
            bad_update(report, box, channel, "an update that does not boot is undone", "1.2.0", "boots-not.raucb")
            bad_update(report, box, channel, "an update that fails its self-test is undone", "1.3.0", "fails.raucb")
        if "slots" in wanted:
            cut_off_starts(report, box, good)
            read_only_data(report, box)
        if "rescue" in wanted:
            rescue(report, box)
        if "kills" in wanted:
            killed_updates(report, box, good, given.kills, given.seed)
        if "power-cuts" in wanted:
            report.step("an account, to be found again", box.run,
                        "schoolgatectl user list | grep -q tester || schoolgatectl user add tester --full-name Tester --role technician >/dev/null")
            power_cuts(report, box, given.power_cuts, given.seed)
        if "rescue" in wanted:
            factory_reset(report, box)
        # The others have machines of their own.
        box.kill()
        if "stick" in wanted:
            install_from_stick(report, given, folder)
        if "secure-boot" in wanted:
            secure_boot(report, given, folder)
        if "arm64" in wanted:
            other_architecture(report, given, folder)
    finally:
        box.kill()
        write_table(report, given)
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(report.lines) - report.failed} of {len(report.lines)} as they should be")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
