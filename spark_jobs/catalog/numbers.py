"""Numbers as shops write them: with a point, or with a comma where the mapping says so, and prices with their currency.

With a comma the other sign may part thousands: `1.299,00`, `1.299.000`, and blanks as in `1 299,00`. `1.299` alone may be
thirteen hundred as well as not quite one and a third, so it is neither.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

_PLAIN = {
    ".": r"[+-]?(?:\d+\.?\d*|\.\d+)",
    ",": (
        r"[+-]?(?:\d+,?\d*|,\d+"
        r"|[1-9]\d{0,2}(?:\.\d{3})+,\d*|[1-9]\d{0,2}(?:\.\d{3}){2,}"
        "|[1-9]\\d{0,2}(?:[ \u00a0\u202f]\\d{3})+(?:,\\d*)?)"
    ),
}
"""By the sign before the decimals: a number without an exponent."""

_EXPONENT = r"(?:[eE][+-]?\d{1,3})?"
_EITHER = {".": None, ",": r"[+-]?[1-9]\d{0,2}\.\d{3}"}
"""What may be a fraction or thousands; with a point a comma is never read, so nothing is in doubt."""


def number(text: Column, decimal: str) -> Column:
    """A finite double; null for anything else."""
    value = _value(text, decimal)
    is_number = text.rlike(f"^{_PLAIN[decimal]}{_EXPONENT}$") & (F.abs(value) < float("inf"))
    return F.when(is_number, value + F.lit(0.0))  # -0.0 becomes 0.0


def price(text: Column, currency: Column, decimal: str) -> Column:
    """A number; or as feeds write it, with its currency before or behind, unless the row names another."""
    own = currency_of(text, decimal)
    amount = F.concat(*[F.regexp_extract(text, _with_currency(_PLAIN[decimal]), group) for group in (2, 3)])
    same = F.when(own == F.upper(currency), _value(amount, decimal) + F.lit(0.0))
    return F.when(own.isNull(), number(text, decimal)).otherwise(same)


def currency_of(price: Column, decimal: str) -> Column:
    """The letters of a price, in capitals; null where there are none."""
    letters = F.concat(*[F.regexp_extract(price, _with_currency(_PLAIN[decimal]), group) for group in (1, 4)])
    return F.nullif(F.upper(letters), F.lit(""))


def is_either(price: Column, decimal: str) -> Column:
    """Whether a price, with or without its currency, may be a fraction or thousands."""
    either = _EITHER[decimal]
    return price.rlike(f"^{either}$|{_with_currency(either)}") if either else F.lit(False)


def _with_currency(amount: str) -> str:
    return rf"^(?:([A-Za-z]{{3}})\s*({amount})|({amount})\s*([A-Za-z]{{3}}))$"


def _value(text: Column, decimal: str) -> Column:
    if decimal == ",":
        text = F.replace(F.regexp_replace(text, "[. \u00a0\u202f]", ""), F.lit(","), F.lit("."))
    return text.try_cast("double")
