from bench.freshness import Freshness, figures_of


def test_the_slowest_change_is_held_against_the_goal() -> None:
    found = [Freshness(20.0, 18.0, 8.0, 1.0), Freshness(90.0, 80.0, 10.0, 3.0), Freshness(30.0, 25.0, 9.0, 2.0)]
    median, slowest, beyond_start, application, swap = figures_of(found, 600)
    assert (median.value, beyond_start.value, application.value, swap.value) == (30.0, 21.0, 25.0, 2.0)
    assert (slowest.value, slowest.ratio, slowest.against) == (90.0, 1.5, "goal of 60 s")
