import pytest

from chains.kinds import kind_of

HELD = [
    ("How much is breakfast?", "It is 12 euros."),
    ("How much is the trout?", "Trout with almonds: 19.80"),
    ("How much do children pay?", "Children under six eat free of charge."),
    ("Was kostet das Essen?", "Es kostet 3,80 Euro."),
    ("How many rooms are there?", "There are forty-two rooms."),
    ("How many dogs may come?", "No more than a pair of dogs."),
    ("When does it open?", "It opens at nine."),
    ("When was it built?", "It was built in 1848."),
    ("When may I fly alone?", "After your thirtieth launch."),
    ("What time is breakfast?", "Breakfast is from 7:30 to 10."),
    ("How long are films lent?", "For one week."),
    ("How long is the cord?", "The cord is 75 cm long."),
    ("How often does it leave?", "Every thirty minutes."),
    ("How old is the bridge?", "It was built in 1848."),
    ("Who renovated the lift?", "It was renovated by Schindler."),
    ("Who orders laptops?", "They are ordered by the technicians."),
    ("Where is the shed?", "It is behind the tennis court."),
    ("Where do dogs stay?", "Dogs must stay outside."),
    ("Which floor is the sauna on?", "It is on the second floor."),
    ("Does it allow dogs?", "Dogs are not permitted."),
]
LACKED = [
    ("How much is breakfast?", "Breakfast is served in the garden."),
    ("How much does a voucher cost?", "Vouchers are valid for three years."),
    ("How much is the sauna?", "The sauna is on the second floor, from 8:00 on."),
    ("How many guests may come?", "The gym is open to all guests."),
    ("When was the lift renovated?", "The lift was renovated by Schindler."),
    ("When is breakfast served?", "Breakfast is served in room 12."),
    ("What time does the parking close?", "Parking is behind the house."),
    ("How long is the gym open?", "The gym is open to all guests."),
    ("How old is Ada?", "Ada joined the team in 2019."),
    ("Who built the sauna?", "The sauna is on the second floor."),
    ("Who is the head of the department?", "Overtime is approved by the head of the department."),
    ("Who wrote it?", "Copyright [yyyy] [name of copyright owner]"),
    ("Where is the gym?", "The gym is open to all guests."),
    ("Where is the travel desk?", "Trips are booked through the travel desk on Mondays."),
    ("Which floor is the gym on?", "The gym is open to all guests."),
    ("Does it allow commercial use?", "In no event is anybody liable for commercial damages."),
]


@pytest.mark.parametrize(("question", "text"), HELD, ids=[f"{question} {text}" for question, text in HELD])
def test_what_holds_the_kind_asked_for_is_known(question: str, text: str) -> None:
    kind = kind_of(question)
    assert kind is not None
    assert kind.held(text, row=False)


@pytest.mark.parametrize(("question", "text"), LACKED, ids=[f"{question} {text}" for question, text in LACKED])
def test_what_only_names_the_thing_lacks_the_kind(question: str, text: str) -> None:
    kind = kind_of(question)
    assert kind is not None
    assert not kind.held(text, row=False)


def test_a_row_tells_a_measure_by_its_number() -> None:
    kind = kind_of("How long is the Redshank?")
    assert kind is not None
    assert kind.held("name: Redshank, length: 9.4", row=True)


@pytest.mark.parametrize("question", ["What is a citation?", "How do I add a document?", "Who is Hilda Brandt?"])
def test_other_questions_ask_for_no_kind(question: str) -> None:
    assert kind_of(question) is None
