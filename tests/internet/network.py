"""The namespaces, and the links and addresses in them.

    inet          every server of the public tree, each at addresses of its own
      |           80.66.0.0/30, 2a0f:1237::/64
    box           where Schoolgate runs: .1 in every network below
      |-- dc      10.20.0.0/24   the school's own name server, at 10.20.0.10
      |-- ks1     10.20.1.0/24   and so on: see CLIENTS

Nothing is routed from one network to another, except that everybody reaches every address
of the box. The servers have addresses that look public, as a careful resolver refuses to ask
a server in a private or documentation network; no packet can leave.
"""

import subprocess

# name: the first three bytes of the IPv4 network, the first 64 bits of the IPv6 one. The box
# is .1 and ::1, the client .10 and ::10, and .11 and .12 also, for `dig -b`.
CLIENTS = {
    "ks1": ("10.20.1", "fd20:1:"),
    "ks2": ("10.20.2", "fd20:2:"),
    "secondary": ("10.20.3", "fd20:3:"),
    "staff": ("10.20.9", "fd20:9:"),
    "guest": ("10.20.50", "fd20:50:"),
    # A network that no rule names.
    "stranger": ("10.77.0", "fd77:"),
    # Not of the school at all.
    "outsider": ("203.0.113", "2001:db8:113:"),
}
DC = ("10.20.0", "fd20:")
UPLINK = ("80.66.0", "2a0f:1237:")

# Where the servers' addresses are, by namespace.
SERVER_DEVICES = {"inet": "lo", "dc": "eth0"}


def box_addresses():
    """Every address of the box that a client may ask."""
    return [address for v4, v6 in [DC, *CLIENTS.values()] for address in (f"{v4}.1", f"{v6}:1")]


def build(servers):
    """Makes all namespaces; `servers` are pairs of a namespace and an address."""
    names = ["inet", "box", "dc", *CLIENTS]
    batch([f"netns add {name}" for name in names])
    links = [("inet", "box", "wan", "box"), ("box", "dc", "dc", "eth0")]
    links += [("box", name, name, "eth0") for name in CLIENTS]
    lines = []
    for number, (upper, lower, device, peer) in enumerate(links):
        if upper == "inet":
            upper, lower, number = "box", "inet", 0xFE
        # Fixed hardware addresses, so that a test can know a device by it.
        lines.append(
            f"link add {device} netns {upper} address 02:5c:00:00:{number:02x}:01 type veth"
            f" peer name {peer} netns {lower} address 02:5c:00:00:{number:02x}:0a"
        )
    batch(lines)

    inet = ["link set lo up", "link set box up"]
    inet += address("box", f"{UPLINK[0]}.1/30", f"{UPLINK[1]}:1/64")
    inet += address("lo", *(a for space, a in servers if space == "inet"))
    # The way back to the box's other addresses, in case a test asks from one.
    inet += [f"route add {v4}.0/24 via {UPLINK[0]}.2" for v4, _ in CLIENTS.values()]
    inet += [f"route add {v6}:/64 via {UPLINK[1]}:2" for _, v6 in CLIENTS.values()]
    # To an address that nobody has: silence, also where the kernel forwards by default.
    inet += ["route add blackhole default", "route add blackhole ::/0"]
    batch(inet, "inet")

    box = ["link set lo up", "link set wan up", "link set dc up"]
    box += address("wan", f"{UPLINK[0]}.2/30", f"{UPLINK[1]}:2/64")
    box += address("dc", f"{DC[0]}.1/24", f"{DC[1]}:1/64")
    for name, (v4, v6) in CLIENTS.items():
        box += [f"link set {name} up", *address(name, f"{v4}.1/24", f"{v6}:1/64")]
    box += [f"route add default via {UPLINK[0]}.1", f"route add default via {UPLINK[1]}:1"]
    batch(box, "box")
    forward_nothing("box")

    dc = ["link set lo up", "link set eth0 up", *address("eth0", f"{DC[0]}.2/24", f"{DC[1]}:2/64")]
    dc += address("eth0", *(a for space, a in servers if space == "dc"))
    dc += [f"route add default via {DC[0]}.1", f"route add default via {DC[1]}:1"]
    batch(dc, "dc")

    for name, (v4, v6) in CLIENTS.items():
        client = ["link set lo up", "link set eth0 up"]
        # The first of IPv4 and the last of IPv6 is the one a client asks from by itself.
        client += address("eth0", *(f"{v4}.{host}/24" for host in (10, 11, 12)))
        client += address("eth0", *(f"{v6}:{host}/64" for host in (12, 11, 10)))
        client += [f"route add default via {v4}.1", f"route add default via {v6}:1"]
        batch(client, name)


def forward_nothing(namespace):
    """Namespaces inherit this from the machine, which may be a router or run containers."""
    command = "for f in ipv4/ip_forward ipv6/conf/all/forwarding; do [ $(cat $f) = 0 ] || echo 0 >$f; done"
    subprocess.run(
        ["nsenter", f"--net=/run/netns/{namespace}", "sh", "-c", f"cd /proc/sys/net && {command}"], check=True
    )


def address(device, *addresses):
    """The lines that give a device its addresses, usable at once."""
    return [f"address add {a} dev {device}" + (" nodad" if ":" in a else "") for a in addresses]


def batch(lines, namespace=None):
    """Runs many lines of `ip` at once, so that all of it takes a moment only."""
    command = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    done = subprocess.run(command, input="\n".join(lines), text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"up: ip: {done.stderr.strip()}")
