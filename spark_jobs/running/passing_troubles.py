"""What can befall Spark on its machines and may be gone at the next try, in one line in place of pages of traceback.

Its words are looked for in the text of an error: this needs no Spark itself.
"""

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


def name_trouble(said: str) -> TryAgain | None:
    """What an error's text comes to; None where it is none of these."""
    if _NO_SPACE in said and any(words in said for words in _OF_SCRATCH):
        return TryAgain(
            "no space is left on a scratch disk of Spark (SPARK_LOCAL_DIRS, spark.local.dir): "
            "free some, or give it a larger one; run again, it starts where its tables stand"
        )
    for words, meaning in _TROUBLES:
        if words in said:
            return TryAgain(f"{meaning}: run again, it starts where its tables stand")
    return None
