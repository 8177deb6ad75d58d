"""What runs inside a process of `core.locked_child`: it takes a script, locks itself up for good, and runs it.

It is started by its path, without packages, so that it imports the standard library alone. The locks are the kernel's, and none
of them can be opened again: no new privileges, no capabilities, Landlock for files (and for TCP and signals where the kernel
knows them), a seccomp filter for everything else.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
from typing import Any, Final, NoReturn

UNLOCKED: Final = b"unlocked"

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38  # linux/prctl.h
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_DIR, _EXECUTE = 1 << 2, 1 << 3, 1 << 0  # linux/landlock.h
_CLONE_THREAD: Final = 0x10000
_EPERM, _ENOSYS = 1, 38

#: AUDIT_ARCH by machine, in the order in which calls have their numbers here.
_MACHINES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: Calls that are refused, each with its numbers; `-` where a machine has none.
_REFUSED: Final = """
socket:41:198 connect:42:203 bind:49:200 listen:50:201 accept:43:202 accept4:288:242 sendmsg:46:211 sendmmsg:307:269
fork:57:- vfork:58:- execve:59:221 execveat:322:281 memfd_create:319:279 memfd_secret:447:447
kill:62:129 tkill:200:130 rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 pidfd_send_signal:424:424
ptrace:101:117 process_vm_readv:310:270 process_vm_writev:311:271 pidfd_open:434:434 pidfd_getfd:438:438
setpriority:141:140 sched_setaffinity:203:122 ioprio_set:251:30 setrlimit:160:164 sched_setscheduler:144:119
io_uring_setup:425:425 bpf:321:280 perf_event_open:298:241 userfaultfd:323:282 add_key:248:217 request_key:249:218
keyctl:250:219 shmget:29:194 shmat:30:196 msgget:68:186 semget:64:190 mq_open:240:180
mount:165:40 umount2:166:39 unshare:272:97 setns:308:268 chroot:161:51 pivot_root:155:41
"""
#: Calls of which the arguments are looked at.
_LOOKED_AT: Final = "clone:56:220 clone3:435:435 tgkill:234:131 prlimit64:302:261 sendto:44:206 capset:126:91"

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> NoReturn:
    """Serve the one who holds the other ends of our pipes."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    told = json.loads(sys.stdin.buffer.read())
    answer = os.dup(1)
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    try:
        _bound(told["memory_bytes"], told["cpu_s"])
        lock()
    except (OSError, KeyError):
        os.write(answer, UNLOCKED + b"\n")
        os._exit(1)
    os.write(answer, b"locked\n")
    space: dict[str, Any] = {"__name__": "script"}
    exec(compile(told["script"], "<script>", "exec"), space)  # noqa: S102 - what this process is for
    said = json.dumps(space["main"](told["given"])).encode()
    while said:
        said = said[os.write(answer, said) :]
    os._exit(0)  # threads and hooks of the code have nothing more to say


def lock() -> None:
    """Lock this process up, for good.

    Raises:
        OSError: the kernel has not all of it.
        KeyError: the machine is unknown.
    """
    arch = _MACHINES[platform.machine()]
    refused, looked_at = _numbers(_REFUSED), _numbers(_LOOKED_AT)
    _call(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _restrict_files()
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)  # linux/capability.h, version 3
    _call(_libc.syscall(looked_at["capset"], header, nothing))
    _call(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    _filter_calls(arch, refused, looked_at)


def _numbers(table: str) -> dict[str, int]:
    """Calls and their numbers on this machine."""
    column = 1 + list(_MACHINES).index(platform.machine())
    rows = (row.split(":") for row in table.split())
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def _bound(memory_bytes: int, cpu_s: float) -> None:
    seconds = int(cpu_s) + 1
    for kind, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(kind, (most, most))


def _restrict_files() -> None:
    """Landlock: the interpreter and its libraries may be read, nothing else, and nothing may be written."""
    version = _call(_libc.syscall(_LANDLOCK_CREATE, None, 0, 1))
    kinds = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    handled = struct.pack("Q", (1 << kinds) - 1)
    if version >= 4:
        handled += struct.pack("Q", 0b11)  # TCP
    if version >= 6:
        handled += struct.pack("Q", 0b11)  # abstract sockets and signals
    ruleset = _call(_libc.syscall(_LANDLOCK_CREATE, handled, len(handled), 0))
    for path in _readable():
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = _READ_FILE | _EXECUTE | (_READ_DIR if os.path.isdir(path) else 0)
        try:
            _call(_libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, place), 0))
        finally:
            os.close(place)
    _call(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def _readable() -> list[str]:
    """Where the interpreter and the system keep their libraries. Nothing that a service keeps its data in lies there."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = [os.path.join(prefix, sys.platlibdir, version) for prefix in {sys.base_prefix, sys.base_exec_prefix}]
    own += [os.path.join(prefix, "lib", version) for prefix in {sys.base_prefix, sys.base_exec_prefix}]
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime"]
    return [*own, *system, "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"]


def _filter_calls(arch: int, refused: dict[str, int], looked_at: dict[str, int]) -> None:
    """seccomp: what is refused fails as if it were not permitted. Of new processes only threads, of signals those to itself."""

    def step(code: int, k: int, jump: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("HBBI", code, jump, otherwise, k)

    load, equal, any_bit, at_least, give = 0x20, 0x15, 0x45, 0x35, 0x06  # linux/bpf_common.h
    allow, kill, refuse = step(give, 0x7FFF0000), step(give, 0x80000000), step(give, 0x00050000 | _EPERM)
    steps = [step(load, 4), step(equal, arch, 1, 0), kill, step(load, 0)]
    if arch == _MACHINES["x86_64"]:
        steps += [step(at_least, 0x40000000, 0, 1), refuse]  # the calls of x32
    for number in refused.values():
        steps += [step(equal, number, 0, 1), refuse]
    steps += [step(equal, looked_at["clone3"], 0, 1), step(give, 0x00050000 | _ENOSYS)]  # so that clone is used instead
    # an argument is 64 bits at 16 + 8 * its number; the lower half comes first on both machines
    steps += [step(equal, looked_at["clone"], 0, 4), step(load, 16), step(any_bit, _CLONE_THREAD, 1, 0), refuse, allow]
    steps += [step(equal, looked_at["tgkill"], 0, 4), step(load, 16), step(equal, os.getpid(), 1, 0), refuse, allow]
    for name, argument in (("prlimit64", 2), ("sendto", 4)):  # no new limits; to the other end of a pair alone
        low = 16 + 8 * argument
        steps += [step(equal, looked_at[name], 0, 6), step(load, low), step(equal, 0, 0, 3)]
        steps += [step(load, low + 4), step(equal, 0, 0, 1), allow, refuse]
    steps += [allow]
    program = ctypes.create_string_buffer(b"".join(steps))
    described = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
    _call(_libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(described), 0, 0))


def _call(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


if __name__ == "__main__":
    main()
