"""What a product must be to be found: by word, number, price or attribute."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.api.fields import Currency, Identifier, Word

FILTER_VALUES_MAX = 100
FILTER_ATTRIBUTES_MAX = 20

Number = Annotated[float, Field(allow_inf_nan=False)]
Words = Annotated[list[Word], Field(min_length=1, max_length=FILTER_VALUES_MAX)]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=FILTER_VALUES_MAX)]


class Condition(BaseModel):
    """What a value must be; all that is given must hold."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            names = ", ".join(field.alias or name for name, field in type(self).model_fields.items())
            raise ValueError(f"give at least one of {names}")
        return self


class WordMatch(Condition):
    """Words are compared as the shop writes them, letter by letter; outer blanks do not count."""

    equals: Word | None = None
    in_: Words | None = Field(None, alias="in", description="one of these")


class RangeMatch(Condition):
    """Both ends belong to the range; either may be left out."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class NumberMatch(RangeMatch):
    equals: Number | None = None
    in_: Numbers | None = Field(None, alias="in", description="one of these")


class AttributeMatch(RangeMatch, WordMatch):
    """An attribute's value as a word, or, where it is a plain number such as \"5.5\", as a number in a range."""


class WordFilter(WordMatch):
    not_: WordMatch | None = Field(
        None, alias="not", description="what it must not be; a product without a value is none of these"
    )


class PriceFilter(NumberMatch):
    not_: NumberMatch | None = Field(None, alias="not", description="what it must not be")
    currency: Currency | None = Field(None, description="ISO 4217; without it the number is compared in any currency")


class AttributeFilter(AttributeMatch):
    not_: AttributeMatch | None = Field(None, alias="not", description="what it must not be")


class Filters(BaseModel):
    """What a product must be to be found at all. Parts that are given must all hold."""

    model_config = ConfigDict(extra="forbid")

    category: WordFilter | None = None
    brand: WordFilter | None = None
    colour: WordFilter | None = None
    price: PriceFilter | None = None
    in_stock: bool | None = None
    attributes: dict[Identifier, AttributeFilter] | None = Field(
        None, min_length=1, max_length=FILTER_ATTRIBUTES_MAX, description="by the name of the attribute"
    )
