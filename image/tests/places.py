"""Places for backups: a USB stick that is put in and pulled out, and a shared folder that this machine serves."""

import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time

from checks import answers_and_blocks, need
from vm import free_ports, run

PASSPHRASE = "four words of our own"
STICK = "/media/stick"
SHARE = "/mnt/share"

# A port for sticks, without which a machine of qemu has none.
USB = ["-device", "qemu-xhci,id=usb"]


def make_backup(box, folder, timeout=None):
    return box.try_run(f"SCHOOLGATE_BACKUP_PASSPHRASE='{PASSPHRASE}' schoolgatectl backup create {folder}", timeout)


def state(box, place):
    """What the pages read: a state and a sentence."""
    said = box.try_run(f"cat /run/schoolgate/{place}")[1]
    lines = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return lines.get("state", ""), lines.get("text", "")


def wait_for(box, place, wanted, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = state(box, place)
        if found[0] == wanted:
            return found[1]
        time.sleep(1)
    need(False, f"{place} is {state(box, place)}, and not '{wanted}': {box.run('journalctl -b -t stick -t share -n 20; lsblk')}")


class Stick:
    """A stick with FAT32 as it comes from a shop, which is put into a running box."""

    def __init__(self, box):
        self.box, self.image = box, box.folder / "stick.img"
        with open(self.image, "wb") as file:
            file.truncate(64 << 20)
            # One partition from the first megabyte on, of the kind that FAT32 has.
            file.seek(446)
            file.write(struct.pack("<8B2L", 0, 0, 0, 0, 0x0C, 0, 0, 0, 2048, (63 << 20) // 512) + bytes(48) + b"\x55\xaa")
        self.files = f"{self.image}@@1M"
        run("mformat", "-F", "-v", "SCHOOL", "-T", str((63 << 20) // 512), "-h", "64", "-s", "32", "-i", self.files, "::")

    def put_in(self):
        drive = {"node-name": "stick", "driver": "raw", "file": {"driver": "file", "filename": str(self.image)}}
        self._tell("blockdev-add", drive)
        self._tell("device_add", {"driver": "usb-storage", "id": "stick", "drive": "stick", "bus": "usb.0", "removable": True})

    def pull_out(self):
        self._tell("device_del", {"id": "stick"})
        for _ in range(30):
            if "error" not in self.box.monitor("blockdev-del", {"node-name": "stick"}):
                return
            time.sleep(0.5)
        need(False, "the stick can't be pulled out")

    def _tell(self, command, arguments):
        answer = self.box.monitor(command, arguments)
        need("error" not in answer, f"{command}: {answer}")

    def backups(self):
        """The backups on it, as this machine reads them."""
        names = run("mdir", "-b", "-i", self.files, "::", stdout=subprocess.PIPE).stdout.split()
        names = [name.removeprefix("::/") for name in names if name.endswith(".backup.age")]
        for name in names:
            text = subprocess.run(["mtype", "-i", self.files, f"::{name}"], check=True, capture_output=True).stdout
            need(text.startswith(b"age-encryption.org/v1"), f"{name} is no backup")
        return names


def stick_takes_backups(box):
    stick = Stick(box)
    code, said = make_backup(box, STICK)
    need(code != 0, f"a backup is made without a stick: {said}")
    stick.put_in()
    said = wait_for(box, "stick", "in")
    need("SCHOOL" in said, f"the stick is called: {said}")
    options = box.run(f"findmnt --noheadings --output OPTIONS {STICK}").strip().split(",")
    for option in ("rw", "nosuid", "nodev", "noexec", "uid=800", "fmask=0077"):
        need(option in options, f"{option} is missing: {options}")
    code, said = make_backup(box, STICK)
    need(code == 0, f"no backup is made: {said}")
    stick.pull_out()
    wait_for(box, "stick", "")
    need(box.try_run(f"findmnt {STICK}")[0] != 0, "what was pulled out is still mounted")
    need(len(stick.backups()) == 1, f"there are {stick.backups()}")
    answers_and_blocks(box)
    stick.put_in()
    wait_for(box, "stick", "in")
    time.sleep(1)
    code, said = make_backup(box, STICK)
    need(code == 0, f"no backup is made when it is in again: {said}")
    need(len(stick.backups()) == 2, f"there are {stick.backups()}")
    stick.pull_out()
    wait_for(box, "stick", "")


class Server:
    """Samba on this machine, where the box finds it at 10.0.2.2."""

    PASSWORD = 'a,b "c'

    def __init__(self, folder):
        self.folder, self.process = pathlib.Path(folder) / "samba", None
        [self.port] = free_ports(1)
        for name in ("share", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "share/dns box").mkdir(exist_ok=True)
        state = self.folder / "state"
        kinds = ("private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")
        (self.folder / "users").write_text("root = dns-backup\n")
        (self.folder / "smb.conf").write_text("\n".join([
            "[global]", f"smb ports = {self.port}", "interfaces = 127.0.0.1/8", "bind interfaces only = yes",
            *(f"{kind} = {state}" for kind in kinds), f"log file = {state}/log", "disable netbios = yes", "load printers = no",
            "disable spoolss = yes", "server min protocol = SMB3", f"username map = {self.folder}/users",
            "[backups]", f"path = {self.folder}/share", "read only = no",
            "[readonly]", f"path = {self.folder}/share", "read only = yes", ""]))
        run("smbpasswd", "-c", str(self.folder / "smb.conf"), "-L", "-s", "-a", "root",
            input=f"{self.PASSWORD}\n{self.PASSWORD}\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        self.process = subprocess.Popen(["smbd", "--foreground", "--no-process-group", "-s", str(self.folder / "smb.conf")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        return self

    def stop(self):
        """It is gone without a word to anybody, and so are those that serve one connection each."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def __exit__(self, *_):
        self.stop()

    def asked(self, **other):
        values = {"server": "10.0.2.2", "port": self.port, "share": "backups", "folder": "dns box", "user": "dns-backup",
                  "password": self.PASSWORD} | other
        return "".join(f"{key}={value}\n" for key, value in values.items()).rstrip("\n")

    def backups(self):
        return list((self.folder / "share/dns box").glob("*.backup.age"))


def share_takes_backups(box, ask):
    if not shutil.which("smbd"):
        return "passed over: there is no smbd here"
    server = Server(box.folder)
    kept, words = ask(box, "share", server.asked(share="a,uid=0"))
    need(kept == "refused", f"an option came through: {words}")
    kept, words = ask(box, "share", server.asked())
    need(kept == "refused" and "does not answer" in words, f"without a server: {kept}: {words}")
    with server:
        for change, wanted in (({"password": "wrong"}, "refuses dns-backup"), ({"share": "nothing"}, "no share nothing"),
                               ({"folder": "nothing"}, "no folder nothing"), ({"share": "readonly"}, "may not write")):
            kept, words = ask(box, "share", server.asked(**change))
            need(kept == "refused" and wanted in words, f"{change}: {kept}: {words}")
        kept, words = ask(box, "share", server.asked())
        need(kept == "ok", f"{kept}: {words}")
        wait_for(box, "share", "ok")
        options = box.run(f"findmnt --noheadings --output OPTIONS {SHARE}")
        for option in ("seal", "nosuid", "nodev", "noexec", "soft", "uid=800"):
            need(option in options, f"{option} is missing: {options}")
        code, said = make_backup(box, SHARE)
        need(code == 0 and len(server.backups()) == 1, f"no backup is made: {said}")
        # The pattern comes from a file, or grep would find itself.
        box.run("cat >/tmp/pattern <<'END'\n" + server.PASSWORD + "\nEND")
        seen = box.try_run("grep -alFf /tmp/pattern /proc/*/cmdline /proc/mounts /run/schoolgate/* /data/system/share/settings 2>/dev/null; "
                           "journalctl -b --no-pager | grep -Ff /tmp/pattern")[1]
        need(not seen.strip(), f"the password can be read: {seen}")
        need(box.run("stat -c %a:%u /data/system/share/password").strip() == "600:0", "others may read the password")
        server.stop()
    # A server that is gone keeps nobody waiting.
    started = time.monotonic()
    code, said = make_backup(box, SHARE)
    need(code != 0, f"a backup is made on a server that is gone: {said}")
    answers_and_blocks(box)
    gone = time.monotonic() - started
    need(gone < 120, f"it took {gone:.0f} s to see that the server is gone")
    box.run("systemctl start schoolgate-share.service")
    need(state(box, "share")[0] == "wrong", f"a server that is gone is {state(box, 'share')}")
    kept, words = ask(box, "share", "")
    need(kept == "ok" and box.try_run(f"findmnt {SHARE}")[0] != 0, f"{kept}: {words}")
    need(box.try_run("ls -A /data/system/share")[0] != 0, "something of the share is left")
