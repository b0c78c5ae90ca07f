"""Quotes in CSV that were never closed, where the rows that they swallowed leave no gap.

Mostly a row that runs on into others has too few fields, or too many, and is known as unreadable by that. Not so where the
next quote stands in the same column of a later row, or where the quote stands in the last column and nothing follows but
the end of the file: then the row has as many fields as its header, and all the others would be gone without a word.
"""

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_jobs.catalog.text import named


def swallowed_rows(header: Sequence[str], delimiter: str) -> Column:
    """A row as it stands in the file where it holds others, by the delimiters in its lines; else null.

    Line breaks are \\n. Nothing is looked at more closely but rows with line breaks: most have none.
    """
    row = F.array_join(F.array(*[named(name) for name in header]), delimiter, "")
    whole = len(header) - 1
    if not whole:  # a line without a delimiter is like any other text
        return F.lit(None).cast("string")
    stands = F.rtrim(row, F.lit("\n"))
    lines = F.split(stands, "\n")
    first, second = F.get(lines, F.lit(0)), F.get(lines, F.lit(1))
    # Of a quote that another row's closed, Spark leaves the first standing at the beginning of its field.
    begins = F.contains(F.concat(F.lit(delimiter), first), F.lit(f'{delimiter}"'))
    closed_by_another = begins & (_count(first, delimiter) == whole)
    # Only where nothing closed it, at the end of the file, a last field ends in a line's end, unless a shop wrote it so.
    never_closed = F.endswith(row, F.lit("\n")) & (_count(second, delimiter) == whole)
    holds_others = (closed_by_another | never_closed) & (_count(F.element_at(lines, -1), delimiter) == whole)
    breaks = F.contains(F.concat_ws("", *[named(name) for name in header]), F.lit("\n"))
    return F.when(breaks, F.when((F.size(lines) > 1) & holds_others, stands))


def _count(line: Column, delimiter: str) -> Column:
    return F.length(line) - F.length(F.replace(line, F.lit(delimiter), F.lit("")))
