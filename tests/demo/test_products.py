"""Products depend on the seed and their own number, on nothing else."""

from collections import Counter

from demo.assortment import ASSORTMENT, BRANDS
from demo.days import arrivals_a_day, catalog_as_of, changed_numbers
from demo.palette import COLOURS
from demo.patterns import PATTERNS
from demo.products import draw_product


def catalog(seed, products, day=0):
    return list(catalog_as_of(seed, products, day))


def test_a_catalog_of_50_is_the_beginning_of_one_of_200():
    assert catalog(7, 50) == catalog(7, 200)[:50]


def test_another_seed_draws_another_catalog():
    assert catalog(7, 20) != catalog(8, 20)


def test_600_products_cover_all_categories_colours_and_patterns():
    products = catalog(7, 600)
    assert {p.category for p in products} == set(ASSORTMENT)
    assert len(ASSORTMENT) == 12
    assert {p.colour for p in products} == set(COLOURS)
    assert {p.pattern for p in products} == set(PATTERNS)
    assert {p.brand for p in products} == {brand for brand, _ in BRANDS}
    assert len({p.product_id for p in products}) == 600


def test_variants_of_a_group_share_the_design_and_differ_in_colour():
    groups: dict[str, list] = {}
    for product in catalog(7, 300):
        groups.setdefault(product.group_id, []).append(product)
    assert max(Counter(len(group) for group in groups.values())) > 2
    for group in groups.values():
        assert len({(p.category, p.brand, p.material, p.fit) for p in group}) == 1
        assert len({p.colour for p in group}) == len(group)


def test_titles_and_descriptions_name_what_is_drawn():
    for product in catalog(7, 100):
        assert product.colour in product.title
        assert product.material in product.description


def test_prices_follow_the_category():
    products = catalog(7, 600)

    def median(category):
        prices = sorted(p.price for p in products if p.category == category)
        return prices[len(prices) // 2]

    assert median("t-shirt") < median("trousers") < median("jacket")
    assert all(4 < p.price < 1500 for p in products)


def test_day_0_is_the_base():
    assert catalog(7, 40) == [draw_product(7, number) for number in range(40)]


def test_each_day_changes_one_to_two_percent_and_brings_and_removes_a_few():
    before = {p.product_id: p for p in catalog(7, 1000, 2)}
    after = {p.product_id: p for p in catalog(7, 1000, 3)}
    changed = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    assert 0.007 <= len(changed) / len(before) <= 0.03
    assert len(after.keys() - before.keys()) == arrivals_a_day(1000)
    assert 1 <= len(before.keys() - after.keys()) <= 12
    for key in changed:
        old, new = before[key], after[key]
        assert (old.price, old.in_stock, old.views) != (new.price, new.in_stock, new.views)
        assert (old.title, old.group_id) == (new.title, new.group_id)
        assert new.updated_at > old.updated_at


def test_the_numbers_a_day_changed_are_those_that_differ():
    before = {p.number: p for p in catalog(7, 500, 3)}
    after = {p.number: p for p in catalog(7, 500, 4)}
    differ = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
    removed_earlier = set(range(500)) - before.keys()
    assert differ == changed_numbers(7, 500, 4) - removed_earlier


def test_a_range_of_a_later_day_is_the_same_range_of_the_whole():
    whole = catalog(7, 300, 5)
    part = list(catalog_as_of(7, 300, 5, first=100, last=200))
    assert part == [p for p in whole if 100 <= p.number < 200]
