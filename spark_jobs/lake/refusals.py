"""What a file system or object store says when it refuses a write, in one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from schemas.errors import StoreNotWritable
from spark_jobs.running.passing_troubles import name_trouble

_FIXES = (
    ("No space left on device", "no space is left: free some, then run the job again"),
    ("Disk quota exceeded", "its quota is used up: free space, then run the job again"),
    ("Read-only file system", "it is read-only: mount it writable, or name another --lake"),
    ("Parent path is not a directory", "a file lies where a folder should be: move it, or name another --lake"),
    ("NoSuchBucket", "the bucket does not exist: create it, or name another --lake"),
    ("UnknownStoreException", "the bucket does not exist: create it, or name another --lake"),
    ("AccessDenied", "access is denied: check the credentials and policy, or name another --lake"),
    ("AccessControlException", "access is denied: fix its permissions, or name another --lake"),
    ("Permission denied", "permission is denied: fix its permissions, or name another --lake"),
    ("No FileSystem for scheme", "Spark here knows no such file system: name a folder, or an s3:// prefix"),
    ("DELTA_CANNOT_CREATE_LOG_PATH", "no folder can be made there: fix its permissions, or name another --lake"),
)
"""Words of Linux, Hadoop and Delta, anywhere in the trace of an error; what is said outermost says least."""


@contextmanager
def plain_refusals(place: str) -> Iterator[None]:
    """Raises StoreNotWritable in place of Spark's error where `place` refused a write, TryAgain where Spark's own disks did.

    Other errors pass as they are.
    """
    try:
        yield
    except (PySparkException, Py4JError) as error:
        said = str(error)
        if trouble := name_trouble(said):
            raise trouble from error
        for words, fix in _FIXES:
            if words in said:
                raise StoreNotWritable(f"cannot write to {place}: {fix}") from error
        raise
