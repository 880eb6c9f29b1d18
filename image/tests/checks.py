"""What has to be true of a box that runs: each function is one check, and raises Failure with what was wrong."""

import hashlib
import json
import pathlib
import re
import socket
import ssl
import subprocess
import tarfile
import urllib.error
import urllib.request

from vm import Answer, Failure, question

BLOCKED = "bet365.com"
CANARY = "use-application-dns.net"
NXDOMAIN = 3

# What may be listened at from outside: DNS in clear, over TLS and QUIC, the pages, and what answers to mDNS.
TCP_PORTS = {53, 80, 443, 853}
UDP_PORTS = {53, 853, 5353}

ABSENT = ("apt", "apt-get", "dpkg", "gcc", "cc", "make", "perl", "python3", "sudo", "wget", "busybox", "git")


def need(condition, message):
    if not condition:
        raise Failure(message)


def answers_and_blocks(box):
    for tcp in (False, True):
        # A packet of the emulated network may be lost, and on a busy machine that costs seconds.
        answer = box.ask(BLOCKED, timeout=10, tcp=tcp) or box.ask(BLOCKED, timeout=60, tcp=tcp)
        need(answer, f"no answer for {BLOCKED}, TCP {tcp}")
        need(answer.code == 0 and answer.addresses, f"{BLOCKED} leads to no page: {answer}")
        need(all(address.startswith(("10.", "127.")) for address in answer.addresses), f"{BLOCKED} is open: {answer}")
        answer = box.ask(CANARY, timeout=10, tcp=tcp) or box.ask(CANARY, timeout=60, tcp=tcp)
        need(answer and answer.code == NXDOMAIN, f"the canary says that there is no filter: {answer}")


def answers_over_tls(box):
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", box.tls), 20) as plain, trusting.wrap_socket(plain) as stream:
        need(stream.version() in ("TLSv1.2", "TLSv1.3"), f"port 853 speaks {stream.version()}")


def fetch(url, host=None, accept="text/html"):
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"Accept": accept} | ({"Host": host} if host else {}))
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trusting), urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def pages_come(box):
    status, text = fetch(f"https://127.0.0.1:{box.https}/set-up")
    need(status == 200 and "set-up code" in text.lower(), f"the set-up answers {status}: {text[:200]}")
    status, text = fetch(f"http://127.0.0.1:{box.http}/", host=BLOCKED)
    need(status == 403 and BLOCKED in text, f"the page of blocked sites answers {status}: {text[:200]}")


def nothing_failed(box):
    failed = box.run("systemctl list-units --state=failed --plain --no-legend")
    need(not failed.strip(), f"units failed: {failed}")


def is_hardened(box):
    said = box.run("systemd-analyze security schoolgate.service --no-pager | tail -n 1")
    score = float(re.search(r"(\d+\.\d+)", said)[1])
    need(score <= 1.5, f"systemd-analyze security says {score}")
    user = box.run("ps -o user= -C schoolgate | sort -u").split()
    need(user == ["schoolgat+"] or user == ["schoolgate"], f"the program runs as {user}")
    return score


def nobody_can_sign_in(box):
    hashes = [line for line in box.run("cut -d : -f 1,2 /etc/shadow").split() if line.split(":")[1] not in ("*", "!", "!*")]
    need(not hashes, f"these have a password: {hashes}")
    running = box.run("systemctl list-units --state=active --plain --no-legend --type=service,socket")
    for word in ("getty", "sshd", "ssh.s", "debug-shell", "schoolgate-ssh.service"):
        need(word not in running, f"{word} runs")
    need(box.try_run("ls /data/system/ssh/authorized_keys")[0] != 0, "there is a key for SSH")


def only_allowed_ports(box):
    for kind, allowed in (("-t", TCP_PORTS), ("-u", UDP_PORTS)):
        for line in box.run(f"ss -Hlnp {kind}").splitlines():
            words = line.split()
            address, _, port = words[3].rpartition(":")
            if address.startswith(("127.", "[::1]")):
                continue
            # A DHCP client listens at its own address; avahi sends from a port of its own; recursion from many.
            if kind == "-u" and (int(port) in (68, 546) or "avahi" in line or "schoolgate" in line and int(port) > 1023):
                continue
            need(int(port) in allowed, f"something listens at {words[3]}: {line}")
    rules = box.run("nft list chain inet filter input")
    need("policy drop" in rules, "the packet filter is not there")


def lacks_tools(box):
    there = box.run(f"for each in {' '.join(ABSENT)}; do command -v $each; done; true").split()
    need(not there, f"the box has {there}")


def root_is_sealed(box):
    need(box.try_run("touch /usr/mine")[0] != 0 and box.try_run("touch /etc/mine")[0] != 0, "the root can be written")
    need("verified" in box.run("veritysetup status root"), "the root is not checked while it is read")
    lasting = {"/data", "/efi", "/var/lib/schoolgate", "/var/lib/chrony", "/var/log/journal"}
    for line in box.run("cat /proc/mounts").splitlines():
        _, place, kind, options, *_ = line.split()
        if kind in ("ext4", "squashfs", "vfat") and options.split(",")[0] == "rw":
            need(place in lasting or place.startswith("/run/"), f"{place} can be written")


def is_small(box):
    lines = dict(re.findall(r"^(\w+):\s+(\d+)", box.run("cat /proc/meminfo"), re.MULTILINE))
    used = (int(lines["MemTotal"]) - int(lines["MemAvailable"])) // 1024
    need(used < 200, f"{used} MB of memory are used")
    return used


def passes_self_test(box):
    code, said = box.try_run("schoolgatectl selftest")
    need(code == 0, f"the self-test fails: {said}")


def console_shows(box):
    box.wait_for_console("Set-up code:")
    said = box.console()
    need("https://10.0.2.15/" in said, "the console shows no address")
    need(re.search(r"Set-up code:\s+[A-Z0-9]{4}-[A-Z0-9]{4}", said), "the console shows no set-up code")


def is_found_by_name(box):
    asked = "".join(f"\\x{byte:02x}" for byte in question("schoolgate.local"))
    said = box.run(f"exec 3<>/dev/udp/10.0.2.15/5353; printf '{asked}' | dd iflag=fullblock bs=1500 status=none >&3; timeout 20 dd bs=1500 count=1 <&3 2>/dev/null | od -An -v -tx1")
    answer = Answer(bytes.fromhex("".join(said.split())))
    need(answer.addresses == ["10.0.2.15"], f"schoolgate.local is not answered: {answer}")


def watches_itself(box):
    need("30s" in box.run("systemctl show -p RuntimeWatchdogUSec"), "systemd does not feed the hardware's watchdog")
    need(box.run("ls /dev/watchdog0").strip(), "there is no watchdog")


def keeps_logs_small(box):
    need("64M" in box.run("systemd-analyze cat-config systemd/journald.conf"), "the journal has no limit")
    need(int(box.run("ls -d /var/log/journal/*/ | wc -l")) == 1, "the journal is not kept")


def files_are_right(out, arch):
    """The folder that image/build leaves."""
    out = pathlib.Path(out)
    image = next(out.glob(f"schoolgate-*-{arch}.img.xz"))
    need(image.stat().st_size < 250_000_000, f"{image.name} has {image.stat().st_size} bytes")
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        with open(out / name, "rb") as file:
            need(hashlib.file_digest(file, "sha256").hexdigest() == digest, f"the digest of {name} is wrong")
    names = {line.split()[1] for line in (out / "SHA256SUMS").read_text().splitlines()}
    for ending in (".img.xz", ".bmap", ".raucb", ".spdx.json", ".licences.tar.xz", ".packages"):
        need(any(name.endswith(ending) for name in names), f"there is no {ending}")
    parts = json.loads(next(out.glob("*.spdx.json")).read_text())["packages"]
    need(any(part["name"] == "systemd" for part in parts) and any(part["name"] == "rustls" for part in parts),
         "the list of components lacks some")
    with tarfile.open(next(out.glob("*.licences.tar.xz"))) as licences:
        need(len(licences.getnames()) > 100, "licence texts are missing")
    return image.stat().st_size


def signature_is_right(out, public_key):
    sums = pathlib.Path(out) / "SHA256SUMS"
    subprocess.run(["minisign", "-Vqm", sums, "-p", public_key], check=True)


# Each with its name, in an order in which what is quick and telling comes first.
OF_A_BOX = (
    ("questions are answered and blocked", answers_and_blocks),
    ("DNS over TLS is offered", answers_over_tls),
    ("the web pages and the page of blocked sites come", pages_come),
    ("no unit failed", nothing_failed),
    ("the service is hardened (1.5 or better)", is_hardened),
    ("nobody can sign in", nobody_can_sign_in),
    ("only the allowed ports are open", only_allowed_ports),
    ("no package manager, no compiler, no interpreter but the shell", lacks_tools),
    ("the root can't be written, and is checked while it is read", root_is_sealed),
    ("less than 200 MB of memory are used", is_small),
    ("the console shows address and set-up code", console_shows),
    ("schoolgate.local is answered", is_found_by_name),
    ("a watchdog watches", watches_itself),
    ("the journal is kept, and small", keeps_logs_small),
    ("the box's own self-test passes", passes_self_test),
)
