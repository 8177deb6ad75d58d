import pytest

from chains.intervals import is_cut


@pytest.mark.parametrize(
    ("question", "answer", "source"),
    [
        ("How long did it last?", "It lasted until 2004.", "The war lasted from 1998 to 2004."),
        ("How long did it last?", "It began in 1998.", "The project (1998–2004) was paid by the town."),
        ("How long is it open?", "It is open from 9:00.", "Open 9:00 a.m. to 17:30 every day."),
        ("How long was she away?", "Until 7 June 2004.", "She was away from 3 May 1998 until 7 June 2004."),
        ("How long does it take?", "It takes 3 days.", "It takes between 3 and 5 days."),
        ("Wie lange dauert es?", "Es dauert 5 Tage.", "Es dauert zwischen 3 und 5 Tagen."),
        ("Wie lange war er dort?", "Bis 2004.", "Er war von Mai 1998 bis Juni 2004 dort."),
    ],
)
def test_one_end_alone_is_no_answer_to_how_long(question: str, answer: str, source: str) -> None:
    assert is_cut(question, answer, [source])


@pytest.mark.parametrize(
    ("question", "answer", "source"),
    [
        ("How long did it last?", "It lasted from 1998 to 2004.", "The war lasted from 1998 to 2004."),
        ("How long did it last?", "It lasted six years.", "It lasted six years, from 1998 to 2004."),
        ("When did it end?", "It ended in 2004.", "The war lasted from 1998 to 2004."),
        ("How long is the warranty?", "The warranty is 24 months.", "The warranty is 24 months. Damage is not covered."),
        ("How long is sick pay continued?", "For 6 weeks.", "Sick pay is continued for 6 weeks, see section 4."),
        ("How long did it last?", "It lasted from 3 May 1998 to 7 June 2004.", "It lasted from 3 May 1998 to 7 June 2004."),
    ],
)
def test_what_tells_all_or_is_asked_for_otherwise_stays(question: str, answer: str, source: str) -> None:
    assert not is_cut(question, answer, [source])
