"""Boots the image in a virtual machine, asks it, and takes the power away. image/test calls this; see --help there."""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import checks
import places
from vm import Failure, Machine, kvm_works, run

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


def ask_of_the_system(box, request, content):
    """What the web pages do: as their user, a file under the request's name, and its answer."""
    said = box.run(
        f"rm -f /run/schoolgate/answers/{request}; cat >/run/asked <<'CONTENT'\n{content}\nCONTENT\n"
        "chmod 0644 /run/asked; setpriv --reuid schoolgate --regid schoolgate --clear-groups sh -c '"
        f"cat /run/asked >/run/schoolgate/requests/{request}.new && "
        f"mv /run/schoolgate/requests/{request}.new /run/schoolgate/requests/{request}'; "
        f"for i in $(seq 90); do [ -e /run/schoolgate/answers/{request} ] && break; sleep 1; done; "
        f"cat /run/schoolgate/answers/{request}"
    )
    state, _, words = said.partition("\n")
    return state, words.strip()


def network_by_file(box):
    """schoolgate-network.txt on the first partition, as somebody edited it on a PC."""
    def start_with(text):
        box.run(f"printf '{text}' >/efi/schoolgate-network.txt; /usr/lib/schoolgate/network-apply")

    start_with("method = \"static\"\\r\\naddress = \"10.0.2.300/24\"\\r\\n")
    checks.need("10.0.2.300" in box.run("cat /run/schoolgate/network-problem"), "nonsense is not told")
    checks.need("DHCP=yes" in box.run("cat /run/systemd/network/10-appliance.network"), "nonsense is used")
    start_with("method = \"static\"\\r\\naddress = \"10.0.2.15/24\"\\r\\ngateway = \"10.0.2.2\"\\r\\n")
    box.run("networkctl reload; networkctl reconfigure $(ls /sys/class/net | grep ^en)")
    time.sleep(5)
    checks.need("proto static" in box.run("ip route show default"), "the fixed address is not in use")
    checks.answers_and_blocks(box)


def network_by_pages(box):
    state, words = ask_of_the_system(box, "network", 'method = "static"')
    checks.need(state == "refused" and "no address" in words, f"{state}: {words}")
    state, words = ask_of_the_system(box, "network", 'method = "dhcp"')
    checks.need(state == "ok", f"{state}: {words}")
    checks.need("DHCP=yes" in box.run("cat /run/systemd/network/10-appliance.network"), "DHCP is not in use")


def an_interface_that_is_gone(box):
    """Settings of another board: the box uses the interface that there is, and says so."""
    box.run("printf 'method = \"dhcp\"\\ninterface = \"enp77s0\"\\n' >/data/system/network.toml; /usr/lib/schoolgate/network-apply")
    checks.need("Name=enp77s0" in box.run("cat /run/systemd/network/10-appliance.network"), "the settings are not in use")
    box.run("networkctl reload; systemctl restart schoolgate-network-interface")
    checks.need("Type=ether" in box.run("cat /run/systemd/network/10-appliance.network"), "no other interface is used")
    checks.need("enp77s0" in box.run("cat /run/schoolgate/network-problem"), "it is not told")
    checks.answers_and_blocks(box)
    state, words = ask_of_the_system(box, "network", 'method = "dhcp"')
    checks.need(state == "ok", f"{state}: {words}")


def copies_of_databases(box):
    """Once a version has proved good, what was kept for the one before does not go back by itself."""
    box.run("setpriv --reuid schoolgate --regid schoolgate --clear-groups touch /data/schoolgate/accounts.version-0.db; "
            "systemctl restart schoolgate-mark-good.service")
    box.run("for i in $(seq 90); do [ -e /data/schoolgate/accounts.retired-0.db ] && break; sleep 1; done")
    box.run("test -e /data/schoolgate/accounts.retired-0.db && ! test -e /data/schoolgate/accounts.version-0.db")
    box.run("rm /data/schoolgate/accounts.retired-0.db")


def ssh_with_a_key(box):
    """Off, on with a key, off again."""
    key = box.folder / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    options = ["-p", str(box.ssh), "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR"]

    def tried():
        return subprocess.run(["ssh", *options, "root@127.0.0.1", "echo", "inside"], capture_output=True, text=True, timeout=120)

    state, words = ask_of_the_system(box, "ssh-keys", 'command="sh" ssh-ed25519 AAAA nonsense')
    checks.need(state == "refused", f"nonsense was taken: {words}")
    state, words = ask_of_the_system(box, "ssh-keys", key.with_suffix(".pub").read_text().strip())
    checks.need(state == "ok", words)
    for _ in range(30):
        inside = tried()
        if inside.stdout == "inside\n":
            break
        time.sleep(3)
    checks.need(inside.stdout == "inside\n", f"the key does not open: {inside.stderr}")
    state, words = ask_of_the_system(box, "ssh-keys", "")
    checks.need(state == "ok" and tried().returncode != 0, "SSH is still on")


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
    box = Machine(given.image, pathlib.Path(folder) / "box", given.arch, extra=places.USB)
    try:
        if first_boot(report, box):
            power_cut(report, box)
            report.step("a file on the first partition sets the network, and nonsense in it does not", network_by_file, box)
            report.step("the pages set the network", network_by_pages, box)
            report.step("settings that name an interface which is gone", an_interface_that_is_gone, box)
            report.step("copies of databases for the version before are put away", copies_of_databases, box)
            report.step("backups go to a stick that is put in and pulled out", places.stick_takes_backups, box)
            report.step("backups go to a shared folder, and a server that is gone stops nothing", places.share_takes_backups, box, ask_of_the_system)
            report.step("no unit failed", checks.nothing_failed, box)
            report.step("SSH is on for as long as there is a key", ssh_with_a_key, box)
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
