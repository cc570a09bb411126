"""What the worker process is not allowed to do, whatever a picture makes the decoder try.

Invariant: limits only ever shrink what the process may use; where the system has no such limits
(Windows) the worker runs without them.
"""

import pyvips

try:
    import resource

    LIMITS_EXIST = True
except ImportError:  # pragma: no cover  not a POSIX system
    LIMITS_EXIST = False

ADDRESS_SPACE = 4 << 30  # bytes; a progressive JPEG at the pixel limit needs about 1.2 GB
FILE_SIZE = 2 << 30  # bytes
OPEN_FILES = 64
THREADS = 2  # per worker; decoding is serial, scaling and AV1 are not

_ALLOWED = ("VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadWebp")


def confine_process() -> None:
    """Limit memory, file size and open files for the rest of this process."""
    if not LIMITS_EXIST:
        return
    for limit, value in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (allowed, allowed))


def allow_cpu(seconds: int) -> None:
    """Let the system kill this process after so much more CPU time, even if nobody watches."""
    if not LIMITS_EXIST:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + seconds
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY or until < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (until, hard))


def confine_libvips() -> None:
    """Only the three loaders of the allowlist, no cache, few threads."""
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(THREADS)
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in _ALLOWED:
        pyvips.operation_block_set(loader, False)
