"""What can befall Spark on its machines and may be gone at the next try, in one line in place of pages of traceback.

Its words are looked for in the text of an error: this needs no Spark itself.
"""

import errno
import re
import tempfile

from schemas.errors import TryAgain

_NO_SPACE = "No space left on device"
_OF_SCRATCH = (
    "org.apache.spark.storage.Disk",
    "org.apache.spark.shuffle",
    "org.apache.spark.util.collection",
    "blockmgr-",
)
_TROUBLES = (
    ("CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND", "executors were lost, and with them all copies of rows that they held"),
    ("ExecutorLostFailure", "executors were lost again and again (if they are each time, give them more memory)"),
)

_OF_S3A = ("org.apache.hadoop.fs.s3a", "software.amazon.awssdk")
_SILENCE = re.compile(
    r"\b(UnknownHostException|ConnectException|SocketTimeoutException|SocketException|NoRouteToHostException"
    r"|ConnectTimeoutException|ApiCallTimeoutException|NoHttpResponseException"
    r"|AWSStatus500Exception|AWSServiceThrottledException|Status Code: 5\d\d)\b"
)
"""S3A tries each request again for some minutes before it gives one of these up."""
_ADDRESS = re.compile(r"\b(s3a://[^\s:]*[^\s:.])")


def name_full_disk(error: Exception) -> TryAgain | None:
    """What Python met on this host, where builds and deltas are laid out before they are sent; None for other errors."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    place = error.filename or f"its scratch folder {tempfile.gettempdir()} most likely"
    return TryAgain(
        f"no space is left on a disk of this host ({place}): free some, or name another folder (TMPDIR); "
        "run again, it starts where its tables stand"
    )


def name_trouble(said: str) -> TryAgain | None:
    """What an error's text comes to; None where it is none of these."""
    if _NO_SPACE in said and any(words in said for words in _OF_SCRATCH):
        return TryAgain(
            "no space is left on a scratch disk of Spark (SPARK_LOCAL_DIRS, spark.local.dir): "
            "free some, or give it a larger one; run again, it starts where its tables stand"
        )
    if any(words in said for words in _OF_S3A) and (silence := _SILENCE.search(said)):
        address = _ADDRESS.search(said)
        return TryAgain(
            f"{address[1] if address else 'S3'} did not answer, or with an error of its own ({silence[1]}): mend its "
            "server, or AWS_ENDPOINT_URL; run again, it starts where its tables stand"
        )
    for words, meaning in _TROUBLES:
        if words in said:
            return TryAgain(f"{meaning}: run again, it starts where its tables stand")
    return None
