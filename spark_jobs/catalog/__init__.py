"""A shop's catalog becomes `products`: sources → rows → duplicates → settlement → writes."""
