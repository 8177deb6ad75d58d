import pytest

from chains.kinds import kind_of

HELD = [
    ("Where is the place of arbitration?", "The place of arbitration is Copenhagen."),
    ("Wo wird geschlichtet?", "Der Ort der Schlichtung ist Kopenhagen."),
    ("Um wie viel steigt die Pacht?", "Die Pacht steigt von 0,38 auf 0,42 Euro je Quadratmeter."),
    ("By how much at most?", "It is raised every January, but by no more than 3 percent."),
    ("Wer hat den Auftrag?", "Den Auftrag erhält die Firma Holzbau Krüger."),
    ("Wer war anwesend?", "Anwesend: Gerda Lindemann (Vorsitz)"),
    ("Wer darf abstimmen?", "Abstimmen dürfen die Mitglieder."),
    ("Wer beschließt das?", "Das beschließt der Gemeinderat."),
    ("Wer repariert es?", "Der Klempner repariert es."),
    ("Wie lange ist die Garantie?", "Die Garantie beträgt 24 Monate."),
    ("Wie lange dauert die Probezeit?", "Die Probezeit beträgt sechs Monate."),
    ("Who is responsible for the roof?", "The Landlord is responsible for the roof, the structure and the lifts."),
    ("Who bears the costs?", "The costs are borne by the Lessee."),
    ("Why was the checkout unavailable?", "The cause was an expired TLS certificate."),
    ("What caused the delay?", "A tree had fallen on the line, so that no train could pass."),
    ("Warum ist der Hof gesperrt?", "Der Hof ist gesperrt, weil die Leitung erneuert wird."),
    ("How deep is the pool?", "The pool is 2 m deep."),
    ("How high does the fern grow?", "It grows to a height of 70 centimetres."),
    ("What is the height of the tower?", "The tower: height 31"),
    ("What is the length of the boat?", "She is 9.4 m long."),
    ("What is the length of the lease?", "It runs for two years."),
    ("How far is the station?", "The station is ten minutes away."),
    ("How wide is the gate?", "Gate: width 3.2"),
    ("How much is breakfast?", "It is 12 euros."),
    ("How much is the trout?", "Trout with almonds: 19.80"),
    ("How much do children pay?", "Children under six eat free of charge."),
    ("Was kostet das Essen?", "Es kostet 3,80 Euro."),
    ("How many rooms are there?", "There are forty-two rooms."),
    ("How many dogs may come?", "No more than a pair of dogs."),
    ("When does it open?", "It opens at nine."),
    ("When does it open?", "It opens at 7 and closes at noon."),
    ("When does it open?", "It opens at 7 daily."),
    ("When was it built?", "It was built in 1848."),
    ("When may I fly alone?", "After your thirtieth launch."),
    ("By how much may the rent rise?", "In no case by more than 4 percent."),
    ("Um wie viel steigt die Miete?", "Sie steigt um 30 Euro."),
    ("What time is breakfast?", "Breakfast is from 7:30 to 10."),
    ("How long are films lent?", "For one week."),
    ("How long is the cord?", "The cord is 75 cm long."),
    ("How often does it leave?", "Every thirty minutes."),
    ("How old is the bridge?", "It was built in 1848."),
    ("On which days is the lawn mown?", "It is mown on Tuesday or Friday."),
    ("An welchen Tagen wird gemäht?", "Gemäht wird dienstags."),
    ("How old must juniors be?", "Juniors under 16 are only allowed with a coach."),
    ("How much does the skiff weigh?", "It weighs 14 kg."),
    ("Wie schwer ist das Brot?", "Gewicht: 750 g"),
    ("Who hires the band?", "Karim is asked to hire the band."),
    ("Who renovated the lift?", "It was renovated by Schindler."),
    ("Who orders laptops?", "They are ordered by the technicians."),
    ("Where is the shed?", "It is behind the tennis court."),
    ("Where do dogs stay?", "Dogs must stay outside."),
    ("Which floor is the sauna on?", "It is on the second floor."),
    ("Does it allow dogs?", "Dogs are not permitted."),
    ("When was it built?", "It was built sixty years ago."),
    ("Quanto costa il biglietto?", "Il biglietto costa dodici euro."),
    ("¿Cuánto dura el préstamo?", "El préstamo dura tres semanas."),
    ("Quanto dura a visita?", "A visita dura uma hora."),
    ("Hoe laat opent de bakkerij?", "De bakkerij opent om zes uur."),
    ("Combien coûte l'entrée ?", "L'entrée est gratuite."),
]
LACKED = [
    ("How many singers are in the band?", "There are no rehearsals in August, and breaks of fifteen minutes."),
    ("How many members does the band have?", "New singers may come three times before they pay 45 pounds."),
    ("How many players does the band have?", "Players who miss more than four rehearsals may not play in it."),
    ("How many tenors are there?", "Tenors rehearse on the second Thursday of each month."),
    ("Who does the repairs?", "Repairs are done on Tuesdays and Thursdays only."),
    ("By how much at most?", "The client pays a base fee of EUR 12,450 and EUR 3.80 for every parcel."),
    ("Why may apprentices not work remotely?", "Whoever has been here for six months may work remotely up to three days."),
    ("Wer hat die Sitzung geleitet?", "Nächste Sitzung: 2. Dezember 2025, 19:00 Uhr."),
    ("Wer öffnet das Tor?", "Das Tor wird um sieben Uhr geöffnet."),
    ("By how much may the rent rise?", "The flat at 41 Harbour Terrace, Flat 5, has three rooms."),
    ("Who proposed the ban?", "It came after complaints from Mill Street."),
    ("Why was the checkout unavailable?", "The checkout was unavailable from 13:07 to 14:52."),
    ("What caused the delay?", "The train was 40 minutes late."),
    ("Warum ist der Hof gesperrt?", "Der Hof ist gesperrt."),
    ("Who signed the contract with Alder?", "Contract with Alder Ltd"),
    ("How high does the fern grow?", "The fern is watered every four days."),
    ("What is the height of the tower?", "The tower has 12 rooms."),
    ("What is the length of boat 17?", "Boat 17 was painted by Ben."),
    ("How deep is the swimming pool?", "The swimming pool is heated to 28 degrees."),
    ("How wide is the pond?", "We have two cats and a pond."),
    ("How much is breakfast?", "Breakfast is served in the garden."),
    ("How much does a voucher cost?", "Vouchers are valid for three years."),
    ("How much is the sauna?", "The sauna is on the second floor, from 8:00 on."),
    ("How many guests may come?", "The gym is open to all guests."),
    ("When does it open?", "The zebra valve opens at 7 bar."),
    ("What time does it open?", "The valve opens at seven kPa."),
    ("When does it open?", "The valve opens at 40 °C."),
    ("When was the lift renovated?", "The lift was renovated by Schindler."),
    ("When is breakfast served?", "Breakfast is served in room 12."),
    ("What time does the parking close?", "Parking is behind the house."),
    ("How long is the gym open?", "The gym is open to all guests."),
    ("On which days does Lena work?", "Lena: order the boat by 20 May"),
    ("Who may not use the saw?", "The saw's motor may only be used after the course."),
    ("Who is allowed to print?", "The printer may be used by day."),
    ("How heavy is the skiff?", "The skiff is 5 m long."),
    ("How old is Ada?", "Ada joined the team in 2019."),
    ("Who built the sauna?", "The sauna is on the second floor."),
    ("Who is the head of the department?", "Overtime is approved by the head of the department."),
    ("Who wrote it?", "Copyright [yyyy] [name of copyright owner]"),
    ("Where is the gym?", "The gym is open to all guests."),
    ("Where is the travel desk?", "Trips are booked through the travel desk on Mondays."),
    ("Which floor is the gym on?", "The gym is open to all guests."),
    ("When was the lamp made?", "The warranty lasts five years."),
    ("Who must pay the bill?", "Pay until 30 June 2026"),
    ("Quanto costa il parcheggio?", "Il parcheggio si trova dietro il porto."),
    ("Combien coûte le cours ?", "Le cours dure quarante minutes."),
    ("Wanneer sluit de bakkerij?", "De bakkerij ligt achter de kerk."),
    ("What does the stool cost?", "The stool weighs 5.1 kg."),
    ("Who makes the lamp?", "The lamp costs 5 euros. It is grey."),
    ("Does it allow commercial use?", "In no event is anybody liable for commercial damages."),
]
#: Numbers that look like years and times of day, and are counts, and the other way round.
COUNTED = [
    ("How many lifts are there?", "There are no lifts."),
    ("How many times may I come?", "Guests may come three times."),
    ("How many rooms does the inn have?", "The inn has 40 rooms and 3 suites."),
    ("How many members are there?", "There are 45, of whom twelve are tenors."),
    ("How many guests may I bring?", "Each member may bring up to two guests."),
    ("How many beds does the hospital have?", "The Saint Anna hospital has 450 beds."),
    ("How many pages does the book have?", "The book has 320 pages."),
    ("How many members does the club have?", "The club has 340 members."),
    ("How many visitors are expected?", "We expect about 600 visitors."),
    ("How many employees are there?", "The firm has 1200 employees."),
    ("How many employees are there?", "There are 1200 permanent employees."),
    ("How many seats does the hall have?", "Its capacity is 450."),
    ("How many seats does the hall have?", "Seats: 1850"),
    ("How many people does it hold?", "It holds 1500."),
    ("How many people may use the sauna?", "The sauna is for up to 12 people."),
    ("How many guests may come?", "Up to 12 guests may come."),
    ("How many children may come?", "The pool is limited to 12 children."),
    ("How many kilometres is the trail?", "The trail is 12.50 kilometres long."),
    ("How many cats live there?", "There are 12 in the house."),
    ("How many may dance?", "At most 20 may dance."),
    ("How many members voted?", "Of them 12 may vote."),
    ("How many copies were printed?", "It was printed in 500 copies."),
    ("How many villages is it spoken in?", "It is spoken in 1200 villages."),
    ("Wie viele Mitarbeiter hat die Firma?", "Die Firma hat 1200 Mitarbeiter."),
    ("Wie viele Plätze gibt es?", "Das Zelt fasst bis 12 Plätze."),
    ("How much is the ticket?", "Tickets ab 12 €."),
    ("How much is the ticket?", "Tickets are from 12 €."),
    ("How much is the load?", "The load is 450."),
    ("How many houses were built?", "They built 1200 houses."),
    ("How many visitors?", "In 2019 there were 1500."),
    ("How many litres fit?", "The tank is for 0.75 litres"),
    ("How many words may it have?", "An abstract has from 150 to 250 words."),
    ("How many inhabitants has Rome?", "It had 2000 inhabitants then."),
    ("How many entries?", "Entries: 2019"),
]
DATED = [
    ("How many beds does the hospital have?", "It was opened in 1978."),
    ("How many beds does the hospital have?", "It was opened in 1978 by the mayor."),
    ("How many beds does the hospital have?", "It was founded in 962."),
    ("How many beds does the hospital have?", "In 1978 the hospital was opened."),
    ("How many beds does the hospital have?", "The hospital (1978) stands in the park."),
    ("How many beds does the hospital have?", "Built 1848, it was renovated on 12 May 1990."),
    ("How many beds does the hospital have?", "1978 was its year."),
    ("How many guests may come?", "It opens at nine."),
    ("How many guests may come?", "It is open from 8 to 10, and to noon on Mondays."),
    ("How many guests may come?", "Breakfast is served in room 112."),
    ("How many guests may come?", "Call 0800 555 010."),
    ("How many guests may come?", "The 1978 edition is out."),
    ("How many guests may come?", "Guests come on 3 May, or 2019-05-03."),
    ("How many guests may come?", "Guests come until 7:30, or 7.30."),
    ("How many towers does it have?", "The castle was built around 1200."),
    ("How many guests may come?", "Between 1978 and 1985 it was closed."),
]


@pytest.mark.parametrize(("question", "text"), HELD + COUNTED, ids=[f"{question} {text}" for question, text in HELD + COUNTED])
def test_what_holds_the_kind_asked_for_is_known(question: str, text: str) -> None:
    kind = kind_of(question)
    assert kind is not None
    assert kind.held(text, row=False)


@pytest.mark.parametrize(("question", "text"), LACKED + DATED, ids=[f"{question} {text}" for question, text in LACKED + DATED])
def test_what_only_names_the_thing_lacks_the_kind(question: str, text: str) -> None:
    kind = kind_of(question)
    assert kind is not None
    assert not kind.held(text, row=False)


def test_a_row_tells_a_measure_by_its_number() -> None:
    kind = kind_of("How long is the Redshank?")
    assert kind is not None
    assert kind.held("name: Redshank, length: 9.4", row=True)


@pytest.mark.parametrize(
    ("question", "text", "held"),
    [
        ("How much does the kettle cost?", "| Power | 1,450 W | 1,650 W |", False),
        ("How much does the kettle cost?", "| Kettle | 39.90 | 49.90 |", True),
        ("How much does Priya earn?", "name: Priya | salary: 84600", True),
        ("Who pays for the windows?", "| Windows | 12.5 % | GBP 1,300 |", False),
        ("Who pays for the windows?", "| Windows | 12.5 % | Tenant |", True),
    ],
)
def test_a_row_tells_a_price_or_a_person_where_it_has_one(question: str, text: str, held: bool) -> None:
    kind = kind_of(question)
    assert kind is not None
    assert kind.held(text, row=True) is held


@pytest.mark.parametrize(
    ("row", "speaks"),
    [
        ("Model | Power (W) | Weight (kg)\n| P-40/8 | 80 | 3.9 |", False),
        ("Model | Price | Weight (kg)\n| P-40/8 | 80 | 3.9 |", True),
        ("Model | Temperature\n| P-40/8 | 80 EUR |", True),
        ("Modell | Listenpreis\n| P-40/8 | 80 |", True),
    ],
)
def test_a_row_without_a_word_of_money_speaks_of_no_price(row: str, speaks: bool) -> None:
    kind = kind_of("How much does the P-40/8 cost?")
    assert kind is not None
    assert kind.in_row is not None
    assert kind.in_row(row) is speaks


@pytest.mark.parametrize(
    ("question", "row", "speaks"),
    [
        ("How long does the skiff last?", "Boat: Skiff | Half day (£): 20 | Day (£): 32", False),
        ("How long is the skiff?", "Boat: Skiff | Length: 5", True),
        ("On which days does Omar come?", "Role: Treasurer | Name: Omar | Phone: 0161 555 0177", False),
        ("On which days is yoga?", "Course | Day\n| Yoga | Monday |", True),
        ("How heavy is the skiff?", "Boat: Skiff | Price: 20", False),
        ("How heavy is the skiff?", "Boat: Skiff | Weight: 14", True),
    ],
)
def test_a_row_speaks_of_a_duration_day_or_weight_where_it_has_one(question: str, row: str, speaks: bool) -> None:
    kind = kind_of(question)
    assert kind is not None
    assert kind.in_row is not None
    assert kind.in_row(row) is speaks


@pytest.mark.parametrize("question", ["What is a citation?", "How do I add a document?", "Who is Hilda Brandt?"])
def test_other_questions_ask_for_no_kind(question: str) -> None:
    assert kind_of(question) is None
