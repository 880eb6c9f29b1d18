#!/usr/bin/env python3
"""Makes names.txt, the popular names that an update of a list must not block by accident.

    lists/popular/make.py --ranking tranco.txt --seen umbrella.txt --suffixes public_suffix_list.dat \
        --lists FOLDER > lists/popular/names.txt

--ranking   names, the most popular first, one a line
--seen      names that are asked today, in any order, so that what has died since the ranking stays out
--suffixes  the public suffix list
--lists     folders of category lists in any format; may be given several times

A ranked name becomes its registrable domain. It is taken when it is ranked very high, or high and seen today, or is of
the United Kingdom. It is left out when a category list or our own starter lists have it, or when it looks like adult
content or gambling: then a list may well be right about it. What annotated.txt has is taken in any case, with the
categories that we gave it. The result says neither rank nor source, in alphabetical order.

Files may be compressed with zstd (.zst), which needs the zstd command.
"""

import argparse
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
VERY_HIGH = 2_500
HIGH = 12_000
BRITISH = 40_000
# Folders and files of collections that are for allowing, or feed none of our categories.
NOT_OURS = {
    "allow", "arjel", "bank", "child", "cleaning", "cooking", "educational_games", "examen_pix",
    "exceptions_liste_bu", "incidents", "jobsearch", "liste_blanche", "liste_bu", "meta", "mobile-phone", "popular",
    "press", "psl", "search", "services", "sexual_education", "special", "sports", "update", "updates", "webhosting",
}
# A list that rewrites search engines, so that it names them all.
REWRITES = re.compile(r"safesearch|nosafesearch|blp-adobe|gambling-2020")
LOOKS_HARMFUL = re.compile(
    r"porn|xxx|sex(?!y?press|ton)|hentai|nude|escort|milf|fuck|casino|poker|slots|bet(?=\d|s\b|ting|win|way|fair)|viagra"
    r"|torrent|warez|crack|proxy|vpn|vape|cannabis|weed|-jp\d*\.|jav\b|adserv|adsrv|tracker|analytics|telemetry"
)
NAME = re.compile(r"^[a-z0-9_-]+(\.[a-z0-9_-]+)+$")


def lines(path):
    if path.suffix == ".zst":
        data = subprocess.run(["zstd", "-dcq", str(path)], capture_output=True, check=True).stdout
    else:
        data = path.read_bytes()
    return data.decode("utf-8", "replace").splitlines()


class Suffixes:
    def __init__(self, path):
        self.rules, self.wildcards, self.exceptions = set(), set(), set()
        for line in lines(path):
            rule = line.strip()
            if not rule or rule.startswith("//"):
                continue
            bare = rule.removeprefix("*.").removeprefix("!")
            bare = bare if bare.isascii() else bare.encode("idna").decode()
            if rule.startswith("*."):
                self.wildcards.add(bare)
            elif rule.startswith("!"):
                self.exceptions.add(bare)
            else:
                self.rules.add(bare)

    def registrable(self, name):
        """The name that somebody registered; none for a suffix itself."""
        labels = name.split(".")
        for at in range(len(labels)):
            rest, above = ".".join(labels[at:]), ".".join(labels[at + 1 :])
            if rest in self.exceptions:
                return rest
            if rest in self.rules or above in self.wildcards:
                return ".".join(labels[at - 1 :]) if at else None
        return None


def listed(line, adblock):
    """The name that a line of a list blocks, in whichever format."""
    line = line.strip().lower()
    if line.startswith(("#", "!", ";", "[", "@@")) or not line:
        return None
    if match := re.match(r"^\|\|([a-z0-9._-]+)\^$", line):
        return match[1]
    if match := re.match(r"^(?:server|address|local)=/([^/]+)/", line):
        return match[1]
    if match := re.match(r'^local-zone: "([^"]+?)\.?"', line):
        return match[1]
    if adblock:
        return None
    words = line.split("#")[0].split()
    if len(words) > 1 and re.match(r"^[0-9a-f.:]+$", words[0]):
        return words[1]
    if len(words) > 2 and words[1] == "cname":
        return words[0].removeprefix("*.")
    return words[0].removeprefix("*").removeprefix(".") if len(words) == 1 else None


def all_listed(folder):
    found = set()
    for path in sorted(folder.rglob("*")):
        parts = set(path.relative_to(folder).parts)
        if not path.is_file() or parts & NOT_OURS or REWRITES.search(path.name):
            continue
        if path.suffix in {".md", ".tsv", ".json", ".gz"} or path.name in {"urls", "usage", "expressions"}:
            continue
        text = lines(path)
        adblock = any(line.startswith(("[Adblock", "||", "!")) for line in text[:50])
        for line in text:
            if name := listed(line, adblock):
                found.add(name.removeprefix("www."))
    return found


def table(path):
    """The lines of one of our own lists: names with the words behind them."""
    for line in lines(path):
        words = line.split("#")[0].split()
        if words:
            yield words[0].removeprefix("="), words[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranking", type=pathlib.Path, required=True)
    parser.add_argument("--seen", type=pathlib.Path, required=True)
    parser.add_argument("--suffixes", type=pathlib.Path, required=True)
    parser.add_argument("--lists", type=pathlib.Path, action="append", default=[])
    args = parser.parse_args()

    suffixes = Suffixes(args.suffixes)
    seen = {suffixes.registrable(name.strip().removeprefix("*.").lower()) for name in lines(args.seen)}
    out = set().union(*(all_listed(folder) for folder in args.lists))
    for path in sorted((HERE.parent / "starter").glob("*.txt")):
        out.update(name for name, _ in table(path))
    names = dict(table(HERE / "annotated.txt"))

    for rank, name in enumerate(lines(args.ranking), 1):
        name = suffixes.registrable(name.strip().lower())
        if name is None or name in names or not NAME.match(name):
            continue
        british = name.endswith(".uk") and rank <= BRITISH
        if not (rank <= VERY_HIGH or rank <= HIGH and name in seen or british):
            continue
        if name not in out and not LOOKS_HARMFUL.search(name):
            names[name] = []

    print("# Popular names: an update that would block one of them is held for a look, unless the list's category stands")
    print("# beside it. Made by make.py, which says how; change annotated.txt, not this file.")
    print("# Made by the Schoolgate contributors, November 2026. Licence: MIT OR Apache-2.0, like the program.")
    print()
    for name in sorted(names):
        print(" ".join([name, *names[name]]))


if __name__ == "__main__":
    main()
