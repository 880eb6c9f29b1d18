"""The zones: reads zones/INDEX, signs everything from the root down, writes the anchors.

Keys and signatures are made anew at each start. That takes about a second, and nothing
expires in a cache.
"""

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent / "zones"
NSD_SERVERS = ["root", "top", "east", "west", "north", "dc"]
DAY = 86400


@dataclass
class Zone:
    """One line of INDEX."""

    name: str
    file: str
    server: str
    signing: str
    options: dict
    addresses: list

    @property
    def origin(self):
        return self.name if self.name == "." else self.name + "."

    @property
    def nice_name(self):
        return "root" if self.name == "." else self.name

    @property
    def signed(self):
        return self.signing != "-"

    @property
    def nsd(self):
        """The NSD that holds the zone's records, if it has any."""
        if self.file == "-":
            return None
        return self.server if self.server in NSD_SERVERS else "backstage"

    @property
    def temper(self):
        """How behave.py answers for the zone, if it does."""
        return None if self.server in NSD_SERVERS else self.server

    @property
    def namespace(self):
        return "dc" if self.server == "dc" else "inet"

    def is_above(self, other):
        return self is not other and (self.name == "." or other.name.endswith("." + self.name))


def read_index():
    """Every zone, in the order of the file."""
    zones = []
    for line in (HERE / "INDEX").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, file, server, signing, *addresses = line.split()
        kind, *options = signing.split(",")
        options = {key: value for key, _, value in (o.partition("=") for o in options)}
        zones.append(Zone(name, file, server, kind, options, addresses))
    return zones


def sign_all(zones, state):
    """Writes every zone as it is to be served to `state`/zones, and the anchors and hints."""
    for folder in ("zones", "keys"):
        (state / folder).mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        with_keys = [z for z in zones if z.signed or "ds" in z.options]
        keys = dict(zip((z.name for z in with_keys), pool.map(lambda z: make_keys(z, state), with_keys)))
        delegations = delegation_signers(with_keys, zones, keys)
        served = [z for z in zones if z.file != "-"]
        list(pool.map(lambda z: write(z, keys.get(z.name), delegations.get(z.name, []), state), served))
    write_anchors(keys["."][0], state)
    write_hints(next(z for z in zones if z.name == "."), state)


def make_keys(zone, state):
    """The key that signs the keys, and the one for the rest if the zone has two."""
    make = ["ldns-keygen", "-a", "ECDSAP256SHA256"]
    kinds = [["-k"], []] if "zsk" in zone.options else [["-k"]]
    return [state / "keys" / run([*make, *kind, zone.origin], state / "keys").strip() for kind in kinds]


def delegation_signers(with_keys, zones, keys):
    """The DS records that each zone has to carry, by its name."""
    found = {}
    for zone in with_keys:
        parents = [p for p in zones if p.is_above(zone)]
        if not parents:
            continue
        parent = max(parents, key=lambda p: len(p.origin))
        ds = run(["ldns-key2ds", "-n", "-2", f"{keys[zone.name][0]}.key"]).split()
        # owner TTL IN DS tag algorithm digest-type digest
        if zone.options.get("ds") == "wrong":
            ds[-1] = ds[-1][::-1]
        if zone.options.get("ds") == "future":
            ds[-3] = "200"
        found.setdefault(parent.name, []).append(" ".join(ds))
    return found


def write(zone, keys, delegations, state):
    """Writes one zone, signed if it is to be, and damaged if it is to be."""
    text = (HERE / zone.file).read_text()
    if "$ORIGIN" not in text:
        text = f"$ORIGIN {zone.origin}\n{text}"
    text = "\n".join([text.rstrip(), *delegations, ""])
    target = state / "zones" / zone.nice_name
    if not zone.signed:
        target.write_text(text)
        return
    source = state / "zones" / f"{zone.nice_name}.unsigned"
    source.write_text(text)

    now = int(time.time())
    begin = now - (60 * DAY if "expired" in zone.options else DAY)
    end = begin + 30 * DAY
    command = ["ldns-signzone", "-o", zone.origin, "-i", str(begin), "-e", str(end), "-f", str(target)]
    if zone.signing == "nsec3":
        command += ["-n", "-t", zone.options.get("iterations", "0")]
        command += ["-p"] if "optout" in zone.options else []
    run([*command, str(source), *map(str, keys)])

    signed = target.read_text()
    if "tamper" in zone.options:
        address = rf"^({zone.options['tamper']}\.{re.escape(zone.origin)}\s+\d+\s+IN\s+A\s+[\d.]+\.)\d+$"
        signed, count = re.subn(address, r"\g<1>66", signed, flags=re.M)
        assert count == 1, f"{zone.name} has no address to tamper with"
    if "nodenial" in zone.options:
        signed = re.sub(r"^.*\sIN\s+(NSEC|RRSIG\s+NSEC)\s.*\n", "", signed, flags=re.M)
    target.write_text(signed)


def write_anchors(key, state):
    """The root's key, as DNSKEY and as DS."""
    record = Path(f"{key}.key").read_text().split(";")[0].split()
    (state / "trust-anchor.key").write_text(f". 3600 IN DNSKEY {' '.join(record[record.index('DNSKEY') + 1:])}\n")
    (state / "trust-anchor.ds").write_text(run(["ldns-key2ds", "-n", "-2", f"{key}.key"]).replace("\t", " "))


def write_hints(root, state):
    """The root's servers, in the form of named.root."""
    lines, names = [], iter("AB")
    for address in root.addresses:
        if ":" not in address:
            name = f"{next(names)}.ROOT-SERVERS.NET."
            lines.append(f"{'.':<24} 3600000      NS    {name}")
        lines.append(f"{name:<24} 3600000      {'AAAA' if ':' in address else 'A':<5} {address}")
    (state / "root.hints").write_text("\n".join(lines) + "\n")


def run(command, folder=None):
    """Runs a program and gives what it printed; stops everything if it failed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"up: {' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
