"""The servers: an NSD for each group of zones, and behave.py for those with a temper.

Run as a program, it waits until each of the given zones is answered at each of the given
addresses: servers.py ZONE ADDRESS KIND..., where KIND is `zone` (its SOA, with authority) or
`any` (whatever answer).
"""

import ipaddress
import random
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from zones import NSD_SERVERS

HERE = Path(__file__).resolve().parent
# Where the tempers of behave.py find the true contents of their zones.
BACKSTAGE = "80.64.0.1"
# A temper that drops or waits would only hold up the start.
UNASKED = ("drop", "slow", "closed")
PATIENCE = 20  # seconds

NSD_CONF = """\
server:
    server-count: 1
    username: ""
    zonesdir: "{state}/zones"
    database: ""
    pidfile: "{state}/nsd/{name}.pid"
    xfrdfile: "{state}/nsd/{name}.xfrd"
    zonelistfile: "{state}/nsd/{name}.zonelist"
    xfrdir: "{state}/nsd"
    logfile: "{state}/log/nsd-{name}.log"
    # Debian's NSD limits the answers to one client; our only client is one resolver.
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    ipv4-edns-size: 1232
    ipv6-edns-size: 1232
    tcp-count: 200
{addresses}
remote-control:
    control-enable: no
{zones}"""


def addresses(zones):
    """Every address that has to be made, as pairs of a namespace and an address."""
    return sorted({(z.namespace, a) for z in zones for a in z.addresses} | {("inet", BACKSTAGE)})


def start(zones, state):
    """Starts everything, and gives the processes by name."""
    (state / "nsd").mkdir()
    started = {}
    for name in [*NSD_SERVERS, "backstage"]:
        own = [z for z in zones if z.nsd == name]
        listen = [BACKSTAGE] if name == "backstage" else dict.fromkeys(a for z in own for a in z.addresses)
        conf = state / "nsd" / f"{name}.conf"
        conf.write_text(
            NSD_CONF.format(
                state=state,
                name=name,
                addresses="\n".join(f"    ip-address: {a}" for a in listen),
                zones="\n".join(f'zone:\n    name: "{z.origin}"\n    zonefile: "{z.nice_name}"' for z in own),
            )
        )
        started[f"nsd-{name}"] = spawn(own[0].namespace, ["nsd", "-d", "-c", str(conf)], state, f"nsd-{name}")
    tempers = [f"{z.temper}={a}" for z in zones if z.temper not in (None, "closed") for a in z.addresses]
    command = [sys.executable, "-B", str(HERE / "behave.py"), BACKSTAGE, *tempers]
    started["behave"] = spawn("inet", command, state, "behave")
    return started


def spawn(namespace, command, state, name):
    """Starts a program in a namespace, away from the terminal and its Ctrl-C."""
    log = (state / "log" / f"{name}.out").open("w")
    command = ["nsenter", f"--net=/run/netns/{namespace}", *command]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=state
    )


def wait(zones):
    """Waits until every server answers for every zone it has. Runs in the box."""
    asked = []
    for zone in zones:
        if zone.nsd and zone.temper is None:
            asked += [(zone.origin, a, "zone") for a in zone.addresses]
        elif zone.temper and not zone.temper.startswith(UNASKED):
            asked += [(zone.origin, a, "any") for a in zone.addresses]
    words = [word for one in asked for word in one]
    command = ["nsenter", "--net=/run/netns/box", sys.executable, "-B", __file__, *words]
    if subprocess.run(command).returncode:
        raise SystemExit("up: not every server answers")


def wait_here(asked):
    """Asks until all have answered; gives those that did not within PATIENCE."""
    families = {4: socket.AF_INET, 6: socket.AF_INET6}
    sockets = {version: socket.socket(family, socket.SOCK_DGRAM) for version, family in families.items()}
    missing = dict(zip(random.sample(range(65536), len(asked)), asked))
    end = time.monotonic() + PATIENCE
    while missing and time.monotonic() < end:
        for number, (zone, address, _) in missing.items():
            query = struct.pack("!HHHHHH", number, 0, 1, 0, 0, 0)
            query += b"".join(bytes([len(l)]) + l.encode() for l in zone.split(".") if l) + b"\0\0\6\0\1"
            try:
                sockets[ipaddress.ip_address(address).version].sendto(query, (address, 53))
            except OSError:
                pass
        until = time.monotonic() + 0.05
        while missing and (left := until - time.monotonic()) > 0:
            for ready in select.select(sockets.values(), [], [], left)[0]:
                try:
                    head = struct.unpack_from("!HHHH", ready.recv(4096))
                except (OSError, struct.error):
                    continue
                number, flags, _, answers = head
                good = flags & 0x040F == 0x0400 and answers
                if number in missing and (good or missing[number][2] == "any"):
                    del missing[number]
    return list(missing.values())


if __name__ == "__main__":
    words = iter(sys.argv[1:])
    silent = wait_here(list(zip(words, words, words)))
    for zone, address, _ in silent:
        print(f"up: no answer for {zone} from {address}", file=sys.stderr)
    sys.exit(bool(silent))
