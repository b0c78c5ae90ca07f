"""A value inside a column: of a JSON object, a list of them, or what Parquet and databases have like these."""

from collections.abc import Callable, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

_LIST = "array<string>"


def value_within(text: Column, way: Sequence[str]) -> Column:
    """What `way` leads to in JSON text, as text itself; several values as a JSON list, null where there is none.

    Each step names a field, of a list's objects that of every one; a number takes one of a list.
    """
    values = F.array(text)
    for step in way:
        values = F.array_compact(F.flatten(F.transform(values, _step_into(step))))
    several = F.flatten(F.transform(values, lambda value: F.coalesce(F.from_json(value, _LIST), F.array(value))))
    return F.when(F.size(values) == 1, F.get(values, F.lit(0))).when(F.size(values) > 1, F.to_json(several))


def _step_into(step: str) -> Callable[[Column], Column]:
    # Spark takes an object, too, for a list of one where a list of objects is asked for.
    objects = ArrayType(StructType([StructField(step, StringType())]))

    def values_in(value: Column) -> Column:
        fields = F.transform(F.from_json(value, objects), lambda each: each.getField(step))
        fields = F.coalesce(fields, F.array().cast(_LIST))
        if not step.isdecimal():
            return fields
        is_list = F.startswith(F.ltrim(value), F.lit("["))
        return F.when(is_list, F.array(F.get(F.from_json(value, _LIST), F.lit(int(step))))).otherwise(fields)

    return values_in
