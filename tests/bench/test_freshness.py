from bench.freshness import Freshness, figures_of


def test_the_slowest_change_is_held_against_the_goal() -> None:
    found = [
        Freshness(20.0, 18.0, 8.0, 1.0, {"build_delta": 5.0}), Freshness(90.0, 80.0, 10.0, 3.0, {"build_delta": 7.0}),
        Freshness(30.0, 25.0, 9.0, 2.0, {"build_delta": 6.0}),
    ]  # fmt: skip
    median, slowest, beyond_start, application, build_delta, swap = figures_of(found, 600)
    assert (build_delta.figure, build_delta.value) == ("of it build_delta, median", 6.0)
    assert (median.value, beyond_start.value, application.value, swap.value) == (30.0, 21.0, 25.0, 2.0)
    assert (slowest.value, slowest.ratio, slowest.against) == (90.0, 1.5, "goal of 60 s")
