from chains.retrieval.judging import marks


def test_lines_of_numbers_are_read():
    assert marks("1: 10\n2: 0\n 3 - 7\n[4]: 2.5", 4) == {1: 1.0, 2: 0.0, 3: 0.7, 4: 0.25}


def test_passages_that_are_not_there_and_second_words_are_left_out():
    assert marks("5: 3\n1: 4\n1: 9\n0: 3\nPassage two is best", 2) == {1: 0.4}


def test_no_mark_is_above_the_best():
    assert marks("1: 50", 1) == {1: 1.0}
