"""Writes the list of components (SPDX 2.3, JSON) of an image, and a list of its Debian packages for people.

From dpkg's status, the packages that were only unpacked for booting, and Cargo.lock. The same input makes the same bytes.
"""

import argparse
import datetime
import hashlib
import json
import pathlib
import re
import tomllib


def debian_packages(status):
    """Name, version, architecture and source of each installed package."""
    for paragraph in status.read_text().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if "Package" not in fields or not fields.get("Status", "").endswith(" installed"):
            continue
        source = fields.get("Source", fields["Package"]).split(" ")[0]
        yield fields["Package"], fields["Version"], fields["Architecture"], source


def boot_packages(manifest):
    """The same of packages that were only unpacked: one a line, its three words in any order of dpkg-deb's."""
    for line in manifest.read_text().splitlines():
        name, version, architecture = line.split()
        yield name, version, architecture, name


def crates(lock):
    """Name, version and checksum of each crate of the program."""
    for package in tomllib.loads(lock.read_text())["package"]:
        yield package["name"], package["version"], package.get("checksum")


def identifier(*words):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", "-".join(words))


def element(spdx_id, name, version, url, checksum=None):
    made = {
        "SPDXID": spdx_id,
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}
        ],
    }
    if checksum:
        made["checksums"] = [{"algorithm": "SHA256", "checksumValue": checksum}]
    return made


def main():
    parser = argparse.ArgumentParser()
    for name in ("--status", "--boot", "--cargo", "--sbom", "--list"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    for name in ("--version", "--arch", "--epoch"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()

    debian = sorted({*debian_packages(given.status), *boot_packages(given.boot)})
    image = identifier("image")
    name = f"schoolgate-{given.version}-{given.arch}"
    elements = [
        element(image, name, given.version, f"pkg:generic/schoolgate@{given.version}?arch={given.arch}")
    ]
    for package, version, architecture, source in debian:
        escaped = version.replace("+", "%2B").replace(":", "%3A").replace("~", "~")
        url = f"pkg:deb/debian/{package}@{escaped}?arch={architecture}&distro=debian-13&upstream={source}"
        elements.append(element(identifier("deb", package, architecture), package, version, url))
    for crate, version, checksum in sorted(crates(given.cargo), key=lambda made: made[:2]):
        url = f"pkg:cargo/{crate}@{version.replace('+', '%2B')}"
        elements.append(element(identifier("cargo", crate, version), crate, version, url, checksum))

    made = datetime.datetime.fromtimestamp(int(given.epoch), datetime.UTC)
    digest = hashlib.sha256(json.dumps(elements, sort_keys=True).encode()).hexdigest()
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://schoolgate.example/spdx/{name}-{digest[:16]}",
        "creationInfo": {"created": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: schoolgate-image-build"]},
        "packages": elements,
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": image}
        ]
        + [
            {"spdxElementId": image, "relationshipType": "CONTAINS", "relatedSpdxElement": part["SPDXID"]}
            for part in elements[1:]
        ],
    }
    given.sbom.write_text(json.dumps(document, indent=1) + "\n")
    given.list.write_text("".join(f"{package} {version} {architecture}\n" for package, version, architecture, _ in debian))


if __name__ == "__main__":
    main()
