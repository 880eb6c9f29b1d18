"""The servers that are compared: Schoolgate and its peers, each with the same names blocked."""

import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from support import load

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path(os.environ.get("SCHOOLGATE", ROOT / "target/release/schoolgate"))
# The Debian packages of those that are not called as their package is.
PACKAGES = {"bind": "bind9", "dnsmasq": "dnsmasq-base", "kresd": "knot-resolver"}
PROGRAMS = {"pdns-recursor": "pdns_recursor", "bind": "named"}
# How long a server has to read its names, in seconds.
PATIENCE = 1800
POLICY = """
version = 1
timezone = "Europe/London"
fallback_profile = "ks2"

[[profile]]
id = "ks1"
audience = "pupil"
subnets = ["10.1.0.0/16"]
safe_search = true

[[profile]]
id = "ks2"
audience = "pupil"
subnets = ["127.0.0.0/8"]
safe_search = true
block_with = "nxdomain"

[[profile]]
id = "ks3"
audience = "pupil"
subnets = ["10.3.0.0/16"]

[[profile]]
id = "staff"
audience = "staff"
subnets = ["10.4.0.0/16"]

[[profile]]
id = "guests"
audience = "guest"
subnets = ["10.5.0.0/16"]
"""
LIST = """
[[list]]
id = "{id}"
category = "gambling"
file = "{names}"
"""


def free_port():
    """A port that nobody has, and that the system gives to nobody who asks for any."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def ask(port, name, patience=0.2):
    """The code, the number of records, and what follows the question in an answer; none when there is none in time."""
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    question += b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\x01\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(patience)
        # Connected, so that it is told when nobody is there as yet.
        one.connect(("127.0.0.1", port))
        try:
            one.send(question)
            answer = one.recv(4096)
        except (TimeoutError, ConnectionRefusedError):
            return None
    return answer[3] & 15, int.from_bytes(answer[6:8], "big"), answer[len(question) :]


class DidNotStart(Exception):
    """A server ended, or does not block."""


class Server:
    """A server on the first processor."""

    processors = "0"
    process = None

    def __init__(self, folder, names, upstream):
        self.folder, self.names, self.upstream, self.port = folder, names, upstream, free_port()
        folder.mkdir()
        folder.chmod(0o777)
        self.command = ["taskset", "-c", self.processors, *map(str, self.prepare())]

    def start(self, blocked):
        """Starts it, and notes after how many seconds, and how many of a processor, it blocks a name."""
        begun = time.monotonic()
        log = open(self.folder / "out.txt", "w")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.folder)
        while not self.ready(blocked):
            if self.process.poll() is not None or time.monotonic() - begun > PATIENCE:
                self.stop()
                raise DidNotStart(f"{self.title} did not start:\n{(self.folder / 'out.txt').read_text()[-2000:]}")
            time.sleep(0.005)
        self.loading = time.monotonic() - begun, self.processor()

    def ready(self, blocked):
        return self.blocks(blocked)

    def blocks(self, name):
        """Whether there is no such name, or nothing or the address of nobody at it."""
        answer = ask(self.port, name)
        return answer is not None and (answer[0] == 3 or answer[:2] == (0, 0) or b"\x00\x04\x00\x00\x00\x00" in answer[2])

    def answers(self, name):
        """Whether there is an address at a name that is not blocked."""
        answer = ask(self.port, name, 2)
        return answer is not None and answer[:2] == (0, 1) and b"\x00\x04\xc0\x00\x02\x01" in answer[2]

    def check(self, blocked, cached):
        """What it answers in a wrong way."""
        return [name for name in blocked if not self.blocks(name)] + [name for name in cached if not self.answers(name)]

    def processor(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()


class Echo(Server):
    """No resolver at all, but the same calls to the kernel: what nobody can be better than."""

    title = "echo of the question"

    def prepare(self):
        return [load.program(), "echo", f"127.0.0.1:{self.port}"]

    def ready(self, _):
        return ask(self.port, "floor.example") is not None

    def check(self, *_):
        return []


class Schoolgate(Server):
    title = "Schoolgate"
    threads = 1

    def prepare(self):
        (self.folder / "policy.toml").write_text(self.policy())
        (self.folder / "settings.toml").write_text(
            f'[dns]\nlisten = ["127.0.0.1:{self.port}"]\nthreads = {self.threads}\n[admin]\nlisten = ["127.0.0.1:0"]\nblock_page = []\n'
            f'[resolver]\nmode = "forward"\nforwarders = ["127.0.0.1:{self.upstream}"]\ndnssec = "off"\n'
        )
        begun = os.times()
        self.run("policy", "import", self.folder / "policy.toml")
        # A name of somebody that schools use may be among those that were made up.
        listed = json.loads(self.run("lists", "status", "--json"))["lists"]
        if held := [item["id"] for item in listed if (item["subscription"] or {}).get("held")]:
            self.run("lists", "accept", *held)
        ended = os.times()
        self.compiled = ended.children_user + ended.children_system - begun.children_user - begun.children_system
        return [*self.program(), "serve"]

    def policy(self):
        return POLICY + LIST.replace("{id}", "compared").replace("{names}", str(self.names))

    def program(self):
        return [PROGRAM, "--config", self.folder / "settings.toml", "--data", self.folder / "data"]

    def run(self, *words):
        done = subprocess.run([*self.program(), *words], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout

    def swap(self, name):
        """Adds a name to the list, and comes back when the changed list is in force; the seconds it took."""
        with open(self.names, "a") as text:
            text.write(f"{name}\n")
        begun = time.monotonic()
        self.run("lists", "update")
        took = time.monotonic() - begun
        if not self.blocks(name):
            sys.exit(f"{name} is not blocked after an update of the lists")
        return took


class Unbound(Server):
    title = "unbound, local-zone"

    def prepare(self):
        with open(self.folder / "names.conf", "w") as out:
            for name in self.names.read_text().split():
                out.write(f'local-zone: "{name}." always_nxdomain\n')
        (self.folder / "unbound.conf").write_text(
            f"server:\n interface: 127.0.0.1@{self.port}\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n"
            " use-syslog: no\n verbosity: 0\n num-threads: 1\n module-config: iterator\n msg-cache-size: 64m\n"
            " rrset-cache-size: 128m\n do-not-query-localhost: no\n do-ip6: no\n"
            f" include: {self.folder}/names.conf\nremote-control:\n control-enable: no\n"
            f"forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@{self.upstream}\n"
        )
        return ["unbound", "-c", self.folder / "unbound.conf"]


def response_policy(folder, names):
    with open(folder / "rpz.zone", "w") as out:
        out.write("$TTL 300\n@ SOA localhost. localhost. 1 3600 600 86400 300\n@ NS localhost.\n")
        for name in names.read_text().split():
            out.write(f"{name} CNAME .\n*.{name} CNAME .\n")
    return folder / "rpz.zone"


class Recursor(Server):
    title = "PowerDNS Recursor, RPZ"

    def prepare(self):
        zone = response_policy(self.folder, self.names)
        (self.folder / "rpz.lua").write_text(f'rpzFile("{zone}", {{policyName="rpz"}})\n')
        (self.folder / "recursor.conf").write_text(
            f"local-address=127.0.0.1\nlocal-port={self.port}\nforward-zones-recurse=.=127.0.0.1:{self.upstream}\ndont-query=\n"
            f"dnssec=off\nthreads=1\ndaemon=no\nsocket-dir={self.folder}\nallow-from=127.0.0.0/8\nsecurity-poll-suffix=\n"
            f"lua-config-file={self.folder}/rpz.lua\nquiet=yes\nloglevel=0\nmax-cache-entries=1000000\n"
        )
        return ["pdns_recursor", f"--config-dir={self.folder}"]


class Kresd(Server):
    title = "Knot Resolver, RPZ"

    def prepare(self):
        zone = response_policy(self.folder, self.names)
        (self.folder / "kresd.conf").write_text(
            f"net.listen('127.0.0.1', {self.port}, {{ kind = 'dns' }})\ncache.size = 64 * MB\nmodules = {{ 'policy' }}\n"
            f"trust_anchors.remove('.')\npolicy.add(policy.rpz(policy.DENY, '{zone}'))\n"
            f"policy.add(policy.all(policy.FORWARD({{ '127.0.0.1@{self.upstream}' }})))\n"
        )
        return ["kresd", "-n", "-c", self.folder / "kresd.conf", self.folder]


class Smartdns(Server):
    title = "smartdns"

    def prepare(self):
        with open(self.folder / "smartdns.conf", "w") as out:
            out.write(f"bind 127.0.0.1:{self.port}\nserver 127.0.0.1:{self.upstream}\nspeed-check-mode none\ncache-size 100000\n")
            out.write(f"dualstack-ip-selection no\nprefetch-domain no\nlog-level error\nlog-file {self.folder}/log\n")
            for name in self.names.read_text().split():
                out.write(f"address /{name}/#\n")
        return ["smartdns", "-f", "-x", "-p", "-", "-c", self.folder / "smartdns.conf"]


class Dnsdist(Server):
    title = "dnsdist"

    def prepare(self):
        (self.folder / "dnsdist.conf").write_text(
            f'setLocal("127.0.0.1:{self.port}")\nnewServer({{address="127.0.0.1:{self.upstream}", checkInterval=60}})\n'
            f'setSecurityPollSuffix("")\ngetPool(""):setCache(newPacketCache(500000, {{maxTTL=86400}}))\n'
            f'names = newSuffixMatchNode()\nfor line in io.lines("{self.names}") do names:add(newDNSName(line)) end\n'
            "addAction(SuffixMatchNodeRule(names), RCodeAction(DNSRCode.NXDOMAIN))\n"
        )
        return ["dnsdist", "--supervised", "--disable-syslog", "-C", self.folder / "dnsdist.conf"]


class Bind(Server):
    title = "BIND, RPZ"

    def prepare(self):
        zone = response_policy(self.folder, self.names)
        (self.folder / "named.conf").write_text(
            f'options {{ directory "{self.folder}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
            f'pid-file none; session-keyfile none; recursion yes; dnssec-validation no; forward only;\n'
            f'forwarders {{ 127.0.0.1 port {self.upstream}; }}; response-policy {{ zone "rpz"; }}; }};\n'
            f'controls {{ }};\nzone "rpz" {{ type primary; file "{zone}"; }};\n'
        )
        return ["named", "-f", "-n", "1", "-c", self.folder / "named.conf"]


class Dnsmasq(Server):
    title = "dnsmasq"

    def prepare(self):
        with open(self.folder / "names.conf", "w") as out:
            for name in self.names.read_text().split():
                out.write(f"local=/{name}/\n")
        return ["dnsmasq", "--no-daemon", f"--port={self.port}", "--listen-address=127.0.0.1", "--bind-interfaces",
                "--no-resolv", "--no-hosts", f"--server=127.0.0.1#{self.upstream}", "--cache-size=10000",
                f"--conf-file={self.folder}/names.conf", "--user=root"]  # fmt: skip


PEERS = {"unbound": Unbound, "pdns-recursor": Recursor, "kresd": Kresd, "dnsdist": Dnsdist, "smartdns": Smartdns,
         "bind": Bind, "dnsmasq": Dnsmasq}  # fmt: skip


class Internet:
    """One NSD that has an address for every name."""

    def __init__(self, folder):
        folder.mkdir()
        folder.chmod(0o777)
        self.port = free_port()
        (folder / "root.zone").write_text(
            "$TTL 86400\n. SOA a.ns. a.ns. 1 3600 600 86400 300\n. NS a.ns.\na.ns. A 127.0.0.1\n* A 192.0.2.1\n"
        )
        (folder / "nsd.conf").write_text(
            f"server:\n ip-address: 127.0.0.1@{self.port}\n username: \"\"\n zonesdir: {folder}\n database: \"\"\n pidfile: \"\"\n"
            f" server-count: 1\n rrl-ratelimit: 0\n xfrdfile: {folder}/xfrd\n zonelistfile: {folder}/zones\n"
            "remote-control:\n control-enable: no\nzone:\n name: \".\"\n zonefile: root.zone\n"
        )
        self.process = subprocess.Popen(["taskset", "-c", "1", "nsd", "-d", "-c", folder / "nsd.conf"], stderr=subprocess.DEVNULL)


def install(peers):
    """Installs what is missing, where this may be done; gives the peers that are there."""
    program = lambda peer: shutil.which(PROGRAMS.get(peer, peer))
    missing = [PACKAGES.get(peer, peer) for peer in peers if not program(peer)]
    if missing and os.geteuid() == 0:
        # What Debian starts by itself would take port 53.
        policy = Path("/usr/sbin/policy-rc.d")
        mine = not policy.exists()
        if mine:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], stdout=subprocess.DEVNULL)
        if mine:
            policy.unlink()
    for peer in peers:
        if not program(peer):
            print(f"{peer} is not there: left out", file=sys.stderr)
    return [peer for peer in peers if program(peer)]
