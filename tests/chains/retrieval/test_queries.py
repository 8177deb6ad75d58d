from chains.retrieval.queries import lines


def test_a_models_list_is_read_without_its_numbers_and_quotes():
    said = '1. "boil dry"\n2) Boil DRY\n- kettle safety\n\n• *switch*\nthe question'
    assert lines(said, "The question", 5) == ["Boil DRY", "kettle safety", "*switch*"]


def test_no_more_than_was_asked_for():
    assert lines("a\nb\nc", "q", 2) == ["a", "b"]


def test_numbers_that_belong_to_a_query_stay():
    assert lines("2024 budget\n3.5 mm jack", "q", 5) == ["2024 budget", "3.5 mm jack"]
