"""The operating system said no: its errors become storage errors, here and only here.

Invariant: `what` names no path and no data, so it is safe to show to anyone; the cause is kept.
"""

import errno

from heliograph.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
EXHAUSTED = (errno.EMFILE, errno.ENFILE)


def os_refused(what: str, error: OSError) -> StorageError:
    """The storage error for `error`; the caller raises it `from` the original."""
    if error.errno in FULL:
        remedy = "Free some disk space (or raise the quota) and run the same step again."
    elif error.errno in FORBIDDEN:
        remedy = "Give this user write access to the folder, or choose another one."
    elif error.errno in EXHAUSTED:
        remedy = "Raise the limit of open files (ulimit -n) and run the same step again."
    else:
        remedy = "Check the disk and the folder, then run the same step again."
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return StorageError(what, why=str(error), remedy=remedy, facts={"errno": name})
