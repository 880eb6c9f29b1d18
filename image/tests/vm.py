"""A virtual machine that runs the image: started, asked, and killed as if the power went."""

import atexit
import base64
import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

# Started in the machine by a credential that qemu hands over, so what is tested is the image as it ships: nobody can
# sign in to that. One command a line, with a number and in base64; the answer likewise.
SHELL = r"""
stty raw -echo
while read -r number line; do
    out=$(printf '%s' "$line" | base64 -d | bash 2>&1 | base64 -w0; exit "${PIPESTATUS[2]}")
    printf '\n@@%s %s %s@@\n' "$number" "$?" "$out"
done
"""
SHELL_UNIT = """[Unit]
DefaultDependencies=no
After=systemd-tmpfiles-setup.service
Conflicts=shutdown.target
[Service]
ExecStart=/bin/bash -c "eval \\"$(echo {script} | base64 -d)\\""
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS1
Restart=always
RestartSec=1
"""
SHELL_WANTED = "[Unit]\nWants=testshell.service\n"

# The same machine, emulated on two busy processors, takes ten times as long as one idle with KVM.
PATIENCE = float(os.environ.get("SCHOOLGATE_TEST_PATIENCE", "900"))


# Whoever ends the tests ends the machines with them.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Failure(Exception):
    """What was wrong, for people."""


def free_ports(count):
    """Ports that nobody has now, for UDP and TCP."""
    taken, sockets = [], []
    while len(taken) < count:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sockets += [tcp, udp]
        with contextlib.suppress(OSError):
            udp.bind(("127.0.0.1", port))
            taken.append(port)
    for used in sockets:
        used.close()
    return taken


def question(name, kind=1, identifier=4711):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split("."))
    return struct.pack(">HHHHHH", identifier, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


class Answer:
    """The code of an answer and its addresses."""

    def __init__(self, message):
        self.code = message[3] & 15
        count = struct.unpack(">H", message[6:8])[0]
        self.addresses = []
        at = 12
        while message[at]:
            at += message[at] + 1
        at += 5
        for _ in range(count):
            while message[at] and message[at] < 0xC0:
                at += message[at] + 1
            at += 2 if message[at] >= 0xC0 else 1
            kind, _, _, length = struct.unpack(">HHIH", message[at : at + 10])
            at += 10
            if kind == 1:
                self.addresses.append(socket.inet_ntoa(message[at : at + 4]))
            at += length

    def __repr__(self):
        return f"code {self.code}, addresses {self.addresses}"


def firmware(arch, secure=False):
    """The UEFI firmware and its empty variables."""
    if arch == "arm64":
        return "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
    if secure:
        return "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
    return "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"


_kvm = None


def kvm_works():
    """Whether a guest really starts with KVM: the file alone says little, where machines are nested."""
    global _kvm
    if _kvm is None:
        _kvm = os.access("/dev/kvm", os.R_OK | os.W_OK) and _firmware_starts_with_kvm()
    return _kvm


def _firmware_starts_with_kvm():
    code, variables = firmware("amd64")
    with tempfile.TemporaryDirectory() as folder:
        mine = shutil.copy(variables, folder)
        command = ["qemu-system-x86_64", "-machine", "q35,accel=kvm", "-m", "256", "-display", "none", "-nodefaults"]
        command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
        command += ["-drive", f"if=pflash,unit=1,format=raw,file={mine}", "-serial", "stdio", "-no-reboot"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            ready, _, _ = select.select([process.stdout], [], [], 40)
            return bool(ready and os.read(process.stdout.fileno(), 1))
        finally:
            process.kill()
            process.wait()


class Machine:
    """One box: a disk that stays, and a qemu that comes and goes.

    A disk that `forgets` has a cache like that of a real drive: what was not flushed is gone when the power goes. Without
    it, whatever the machine wrote is in the memory of the host, and survives.
    """

    def __init__(self, image, folder, arch="amd64", memory=768, disk="6G", secure=False, cpus=1, usb=False, forgets=False, extra=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.arch, self.memory, self.secure, self.cpus, self.extra = arch, memory, secure, cpus, list(extra)
        self.usb, self.forgets = usb, forgets
        self.disk = self.folder / ("disk.raw" if forgets else "disk.qcow2")
        self.process = None
        self.drive = None
        self.shell = None
        self.pending = b""
        self.asked = 0
        if not self.disk.exists():
            if forgets:
                run("cp", "--sparse=always", image, str(self.disk))
                run("truncate", "--size", disk, str(self.disk))
            else:
                run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", os.path.abspath(image), str(self.disk), disk)
            code, variables = firmware(arch, secure)
            self.code = code
            shutil.copy(variables, self.folder / "vars.fd")
            os.chmod(self.folder / "vars.fd", 0o600)
        self.code = firmware(arch, secure)[0]
        self.dns, self.http, self.https, self.tls, self.ssh = free_ports(5)
        atexit.register(self.kill)

    # ---------- power

    def start(self, credentials=True):
        """Switches it on."""
        self.started = time.monotonic()
        kvm = self.arch == "amd64" and kvm_works()
        forwards = ",".join(
            [f"hostfwd={proto}:127.0.0.1:{self.dns}-:53" for proto in ("udp", "tcp")]
            + [f"hostfwd=tcp:127.0.0.1:{mine}-:{its}" for mine, its in
               ((self.http, 80), (self.https, 443), (self.tls, 853), (self.ssh, 22))]
        )
        for name in ("shell.sock", "monitor.sock", "serial.sock"):
            with contextlib.suppress(FileNotFoundError):
                (self.folder / name).unlink()
        if self.arch == "arm64":
            command = ["qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", "cortex-a72", "-accel", "tcg,thread=multi"]
        elif kvm:
            command = ["qemu-system-x86_64", "-machine", "q35,smm=" + ("on" if self.secure else "off"), "-accel", "kvm", "-cpu", "host"]
        else:
            command = ["qemu-system-x86_64", "-machine", "q35,smm=" + ("on" if self.secure else "off"), "-accel", "tcg", "-cpu", "Nehalem"]
        if self.secure:
            command += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        command += ["-smp", str(self.cpus), "-m", str(self.memory), "-display", "none", "-nodefaults", "-no-user-config"]
        command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={self.code}"]
        command += ["-drive", f"if=pflash,unit=1,format=raw,file={self.folder}/vars.fd"]
        command += ["-drive", "if=none,id=disk,cache=writeback," + (self._drive_with_a_cache() if self.forgets else f"format=qcow2,file={self.disk}")]
        if self.usb:
            command += ["-device", "qemu-xhci", "-device", "usb-storage,drive=disk,removable=on,bootindex=1"]
        else:
            command += ["-device", "virtio-blk-pci,drive=disk,bootindex=1"]
        command += ["-device", "virtio-rng-pci"]
        command += ["-netdev", f"user,id=net,ipv6=off,{forwards}", "-device", "virtio-net-pci,netdev=net"]
        command += ["-chardev", f"socket,id=console,path={self.folder}/serial.sock,server=on,wait=off,logfile={self.folder}/console.log,logappend=on"]
        command += ["-chardev", f"socket,id=shell,path={self.folder}/shell.sock,server=on,wait=off"]
        if self.arch == "arm64":
            command += ["-serial", "chardev:console"]
            # The box has its console on ttyS0, too, as on the first port of a PC.
            command += ["-chardev", "null,id=nobody", "-device", "pci-serial,chardev=nobody", "-device", "pci-serial,chardev=shell"]
        else:
            command += ["-serial", "chardev:console", "-serial", "chardev:shell", "-vga", "std"]
            # It is there, and bites nobody: on a shared machine qemu may stand still for a minute.
            command += ["-device", "i6300esb", "-action", "watchdog=none"]
        command += ["-qmp", f"unix:{self.folder}/monitor.sock,server=on,wait=off"]
        if credentials:
            command += self._credentials()
        command += self.extra
        with open(self.folder / "qemu.log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.shell, self.pending, self.spoke = None, b"", False

    def _credentials(self):
        script = base64.b64encode(SHELL.encode()).decode()
        unit = SHELL_UNIT.replace("{script}", script)
        values = {"systemd.extra-unit.testshell.service": unit, "systemd.unit-dropin.sysinit.target": SHELL_WANTED}
        arguments = []
        for name, text in values.items():
            encoded = base64.b64encode(text.encode()).decode()
            arguments += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={encoded}"]
        return arguments

    def _drive_with_a_cache(self):
        """Starts what keeps writes to itself until they are flushed, and says how qemu reaches it."""
        place = self.folder / "drive.sock"
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        with open(self.folder / "drive.log", "ab") as log:
            self.drive = subprocess.Popen(
                ["nbdkit", "--foreground", "--exit-with-parent", "--unix", str(place), "--filter=cache", "file", str(self.disk),
                 "cache=writeback", "cache-min-block-size=4K"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not place.exists():
            if self.drive.poll() is not None:
                raise Failure("nbdkit is gone: " + (self.folder / "drive.log").read_text()[-500:])
            time.sleep(0.05)
        return f"format=raw,file=nbd:unix:{place}"

    def kill(self):
        """The power goes."""
        if self.drive:
            self.drive.send_signal(signal.SIGKILL)
            self.drive.wait()
            self.drive = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process = None
        if self.shell:
            self.shell.close()
            self.shell = None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # ---------- its shell

    def run(self, command, timeout=None, check=True):
        """What a command says, run by root in the machine."""
        code, said = self.try_run(command, timeout)
        if check and code != 0:
            raise Failure(f"{command!r} ended with {code}: {said.strip()}")
        return said

    def try_run(self, command, timeout=None):
        deadline = time.monotonic() + (timeout or PATIENCE)
        while time.monotonic() < deadline:
            if not self.alive():
                raise Failure("qemu is gone: " + (self.folder / "qemu.log").read_text()[-500:])
            if self.shell is None:
                self.shell = socket.socket(socket.AF_UNIX)
                try:
                    self.shell.connect(str(self.folder / "shell.sock"))
                except OSError:
                    self.shell = None
                    time.sleep(0.3)
                    continue
                self.pending, self.spoke = b"", False
            # A shell that is there answers at once; one that is not has to be asked again.
            if not self._answer(":", min(60 if self.spoke else 8, deadline - time.monotonic())):
                continue
            self.spoke = True
            answer = self._answer(command, deadline - time.monotonic())
            if answer:
                return answer
            break
        raise Failure(f"no answer to {command!r}")

    def _answer(self, command, seconds):
        deadline = time.monotonic() + seconds
        self.asked += 1
        number = b"%d" % self.asked
        self.shell.sendall(b"\n%s %s\n" % (number, base64.b64encode(command.encode())))
        while time.monotonic() < deadline:
            # Answers to what was asked before are not this one's.
            match = re.search(rb"@@%s (\d+) ([A-Za-z0-9+/=]*)@@" % number, self.pending)
            if match:
                self.pending = b""
                return int(match[1]), base64.b64decode(match[2]).decode(errors="replace")
            ready, _, _ = select.select([self.shell], [], [], min(1, max(0, deadline - time.monotonic())))
            if ready:
                more = self.shell.recv(1 << 16)
                if not more:
                    self.shell.close()
                    self.shell = None
                    return None
                self.pending += more
        return None

    # ---------- from outside

    def ask(self, name, kind=1, timeout=3, tcp=False):
        """What the box answers; none when it does not."""
        message = question(name, kind)
        try:
            if tcp:
                with socket.create_connection(("127.0.0.1", self.dns), timeout) as stream:
                    stream.sendall(struct.pack(">H", len(message)) + message)
                    stream.settimeout(timeout)
                    answer = stream.makefile("rb")
                    length = struct.unpack(">H", answer.read(2))[0]
                    return Answer(answer.read(length))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
                stream.settimeout(timeout)
                stream.sendto(message, ("127.0.0.1", self.dns))
                return Answer(stream.recv(4096))
        except (OSError, struct.error, IndexError):
            return None

    def wait_for_dns(self, name="bet365.com", timeout=None):
        """How many seconds after it was switched on the first answer came."""
        deadline = time.monotonic() + (timeout or PATIENCE)
        while time.monotonic() < deadline:
            if not self.alive():
                raise Failure("qemu is gone: " + (self.folder / "qemu.log").read_text()[-500:])
            if self.ask(name, timeout=2):
                return time.monotonic() - self.started
            time.sleep(0.5)
        raise Failure("no answer to a question within the time: " + self.console()[-600:])

    def console(self):
        """What the serial console said since the disk was made."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "console.log").read_text(errors="replace")
        return ""

    def type_on_console(self, text):
        """Types on the serial console, as somebody at the box would."""
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(str(self.folder / "serial.sock"))
            port.sendall(text.encode())
            time.sleep(1)

    def wait_for_console(self, words, since=0, timeout=None):
        deadline = time.monotonic() + (timeout or PATIENCE)
        while time.monotonic() < deadline:
            if words in self.console()[since:]:
                return
            time.sleep(0.5)
        raise Failure(f"the console never said {words!r}: " + self.console()[-600:])

    def monitor(self, command, arguments=None):
        """A command of qemu's own."""
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(str(self.folder / "monitor.sock"))
            lines = port.makefile("rw")
            lines.readline()
            for each in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments or {}}):
                lines.write(json.dumps(each) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
            return answer


def run(*command, **more):
    """Runs a command on this machine."""
    return subprocess.run(command, check=True, text=True, **more)
