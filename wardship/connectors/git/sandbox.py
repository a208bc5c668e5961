"""Takes from the process that reads hostile content all that reading does not need: network, programs, files, memory.

Linux only. What the kernel refuses (user namespaces may be switched off) is left out and told: the limits and the ban
on new programs and connections do not depend on it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct

MAX_MEMORY = 3 << 30  # bytes of address space
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ERRNO with EPERM
# Numbers from the kernel's own tables (asm/unistd_64.h; asm-generic/unistd.h): socket, connect, bind, listen, sendto,
# execve, execveat, ptrace, process_vm_readv, process_vm_writev, kill, tkill, tgkill, mount, bpf, keyctl,
# io_uring_setup.
_ARCHITECTURES = {
    "x86_64": (0xC000003E, (41, 42, 49, 50, 44, 59, 322, 101, 310, 311, 62, 200, 234, 165, 321, 250, 425)),
    "aarch64": (0xC00000B7, (198, 203, 200, 201, 206, 221, 281, 117, 270, 271, 129, 130, 131, 40, 280, 219, 425)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def no_network() -> bool:
    """Leaves the network for an empty one, for this process and all it starts; False: the kernel does not allow it."""
    return bool(ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER | _NEW_NET) == 0)


def limit() -> None:
    """Limits of this process and what it starts: no core dump, no file written, few open ones, bounded memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def grant_cpu(seconds: int) -> None:
    """Lets this process use `seconds` more of CPU; beyond that the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def lock() -> bool:
    """From here on: no new program, connection, trace or signal. Cannot be undone. False: not on this machine."""
    known = _ARCHITECTURES.get(os.uname().machine)
    libc = ctypes.CDLL(None, use_errno=True)
    if known is None or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    architecture, refused = known
    steps = [(0x20, 0, 0, 4), (0x15, 1, 0, architecture), (0x06, 0, 0, _REFUSE), (0x20, 0, 0, 0)]
    if architecture == 0xC000003E:
        steps.append((0x35, len(refused) + 1, 0, 0x40000000))  # the x32 spelling of the same calls
    for index, number in enumerate(refused):
        steps.append((0x15, len(refused) - index, 0, number))
    steps += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _REFUSE)]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    return bool(libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(_Program(len(steps), code)), 0, 0) == 0)
