import pytest

from chains.times import may_hold_duration, tells_days, tells_duration


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("It runs for two years.", True),
        ("It lasts an hour.", True),
        ("The office is open 8 hours a day.", True),
        ("The meeting was opened at 18:35 and closed at 20:10.", True),
        ("The fair begins on 3 May and ends on 5 May.", True),
        ("The fair is held 12–14 May.", True),
        ("Tuesday to Friday from 14:00 to 21:00", True),
        ("Die Nachtruhe dauert von 22 bis 6 Uhr.", True),
        ("It takes place on Saturday, 19 September.", False),
        ("Next meeting: 9 June 2026, 18:30, in the lounge.", False),
        ("The lounge is cleaned twice a week, on Monday and Thursday before 9:00.", False),
        ("Clean the filter every two weeks.", False),
        ("Der Filter wird alle zwei Wochen gereinigt.", False),
        ("The skiff is 32 euros a day.", False),
        ("Members must be at least 14 years old.", False),
        ("It is between the club and the contractor.", False),
        ("The path leads from the house to the pond.", False),
        ("Das Boot fasst bis zu 12 Gäste.", False),
    ],
)
def test_a_duration_is_a_span_or_both_of_its_ends_and_no_rate_or_date(text: str, does: bool) -> None:
    assert tells_duration(text) is does


@pytest.mark.parametrize(
    ("row", "may"),
    [
        ("Model: Skiff | Half day (£): 20 | Day (£): 32 | Week (£): 150", False),
        ("Item: Helmet | Price per day (£): 2", False),
        ("Course: Welding | Duration: 90", True),
        ("Artikel: Bohrer | Leihfrist: 14", True),
        ("Course: Welding | Lasts: three hours", True),
    ],
)
def test_a_row_of_prices_by_the_day_holds_no_duration(row: str, may: bool) -> None:
    assert may_hold_duration(row) is may


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("The lawn is mown on Tuesday or Friday.", True),
        ("Mo–Fr 9–17", True),
        ("The tip is open daily.", True),
        ("Am 24. Dezember ist geschlossen.", True),
        ("Rent is due on the 3rd of each month.", True),
        ("Die Tonne wird dienstags geleert.", True),
        ("Order the boat by 20 May.", False),
        ("Send it to us until Friday.", False),
        ("Role: Treasurer | Name: Omar Haddad | Phone: 0161 555 0177", False),
        ("The rules hold since 1 March 2026.", False),
        ("So it goes.", False),
    ],
)
def test_days_are_weekdays_and_dates_and_no_deadlines(text: str, does: bool) -> None:
    assert tells_days(text) is does
