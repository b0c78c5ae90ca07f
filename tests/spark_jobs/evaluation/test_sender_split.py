"""The split by sender is a rule that must never drift: trained weights depend on it."""

from spark_jobs.evaluation.sender_split import PARTS, is_unseen, part_of


def test_known_senders_stay_where_they_were_when_the_model_was_trained():
    assert [part_of(sender) for sender in ("181", "48", "262", "310", "267")] == [3, 1, 3, 4, 4]
    assert is_unseen("no one") == (part_of("no one") == 4)


def test_all_parts_are_in_use():
    assert {part_of(str(sender)) for sender in range(100)} == set(range(PARTS))
