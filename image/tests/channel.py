"""An update channel for tests: bundles by HTTP with ranges, as RAUC streams them, and the signed file that names one."""

import datetime
import http.server
import pathlib
import re
import shutil
import subprocess
import threading

from vm import run


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802, the name is the library's
        path = pathlib.Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        first, last, status = 0, size - 1, 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last, status = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1), 206
        self.send_response(status)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.command == "GET":
            with open(path, "rb") as file:
                file.seek(first)
                left = last - first + 1
                while left:
                    part = file.read(min(left, 1 << 18))
                    self.wfile.write(part)
                    left -= len(part)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        """Nothing: a stream is thousands of requests."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A machine that is killed breaks its connections off; that is what is tested."""


class Channel:
    """A folder that is served; a box reaches it at `address`."""

    def __init__(self, folder, keys):
        self.folder, self.keys = pathlib.Path(folder), pathlib.Path(keys)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.server = Server(("127.0.0.1", 0), lambda *given: Handler(*given, directory=str(self.folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://10.0.2.2:{self.server.server_address[1]}"
        self.serial = 0

    def add(self, bundle, name):
        shutil.copy(bundle, self.folder / name)
        return f"{self.address}/{name}"

    def offer(self, version, bundle, signer="release", days=30, serial=None):
        """Writes the channel file, as the people who release do."""
        self.serial = serial or self.serial + 1
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        text = (
            f"format=1\nchannel=stable\nserial={self.serial}\nexpires={until:%Y-%m-%dT%H:%M:%SZ}\n"
            f"version={version}\namd64.bundle={bundle}\narm64.bundle={bundle}\n"
        )
        (self.folder / "stable").write_text(text)
        run("openssl", "cms", "-sign", "-binary", "-outform", "DER", "-in", str(self.folder / "stable"),
            "-signer", str(self.keys / f"{signer}.pem"), "-inkey", str(self.keys / f"{signer}.key"),
            "-out", str(self.folder / "stable.sig"), stderr=subprocess.DEVNULL)
        return f"{self.address}/stable"


def tamper(bundle, copy):
    """One byte of what would be written to the disk is another."""
    shutil.copy(bundle, copy)
    with open(copy, "r+b") as file:
        file.seek(file.seek(0, 2) // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
