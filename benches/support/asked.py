"""What servers are asked for: names that are blocked, names that are cached, and who knows the addresses of these."""

import random
import subprocess

from support import load, peers

DOMAINS = 1_700
ASKED = 100_000


def made_up(count, seed):
    """Names of the length and depth that lists have."""
    dice = random.Random(seed)
    ends = ["com"] * 6 + ["net", "org", "co.uk", "info", "de", "ru", "xyz", "top", "online", "site"]
    found = set()
    while len(found) < count:
        word = "".join(dice.choice("bcdfghjklmnprstvwz") + dice.choice("aeiou") for _ in range(dice.randint(3, 7)))
        name = f"{word}{dice.choice(['', '', str(dice.randint(1, 99))])}.{dice.choice(ends)}"
        if dice.random() < 0.25:
            name = f"{dice.choice(['www', 'm', 'cdn', 'ads', 'track'])}.{name}"
        found.add(name)
    return sorted(found)


class Internet:
    """One NSD that has an address for every name."""

    def __init__(self, folder):
        folder.mkdir()
        folder.chmod(0o777)
        self.port = peers.free_port()
        (folder / "root.zone").write_text(
            "$TTL 86400\n. SOA a.ns. a.ns. 1 3600 600 86400 300\n. NS a.ns.\na.ns. A 127.0.0.1\n* A 192.0.2.1\n"
        )
        (folder / "nsd.conf").write_text(
            f"server:\n ip-address: 127.0.0.1@{self.port}\n username: \"\"\n zonesdir: {folder}\n database: \"\"\n pidfile: \"\"\n"
            f" server-count: 1\n rrl-ratelimit: 0\n xfrdfile: {folder}/xfrd\n zonelistfile: {folder}/zones\n"
            "remote-control:\n control-enable: no\nzone:\n name: \".\"\n zonefile: root.zone\n"
        )
        command = [*load.THERE, "nsd", "-d", "-c", folder / "nsd.conf"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Names:
    """What is blocked, what is cached, and files of questions for both."""

    def __init__(self, folder, count):
        blocked, domains = made_up(count, 1), made_up(DOMAINS + count // 100, 2)
        # A client that asks for more new domains in an hour than this is no client of a school.
        known = set(blocked)
        domains = [name for name in domains if not any(".".join(name.split(".")[at:]) in known for at in range(3))][:DOMAINS]
        self.cached = [f"host{n % 6}.{domains[n // 6]}" for n in range(6 * len(domains))]
        # What blocks this one has read them all.
        self.last = blocked[-1]
        self.list = folder / "names.txt"
        self.list.write_text("\n".join(blocked) + "\n")
        dice = random.Random(3)
        self.blocked = dice.sample(blocked, min(ASKED, len(blocked)))
        kinds = {
            "cached": [dice.choice(self.cached) for _ in range(ASKED)],
            "blocked": self.blocked,
            "mixed": [dice.choice(self.cached) if dice.random() < 0.8 else dice.choice(self.blocked) for _ in range(ASKED)],
        }
        self.files = {kind: load.questions(folder / kind, asked) for kind, asked in kinds.items()}
        self.warm = load.questions(folder / "warm", self.cached)
