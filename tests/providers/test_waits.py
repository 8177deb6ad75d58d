"""What providers ask to be left in peace for."""

import pytest

from core.settings import Settings
from providers.models import Models
from providers.waits import retry_after
from tests.fakes.clouds import CLOUDS, installation
from tests.fakes.wire import Raw, Reply

ABSURD = [
    "Wed, 21 Oct 2035 07:28:00 +999999999999999999999",
    "Wed, 21 Oct 99999999999999999999 07:28:00 GMT",
    "Wed, 21 Oct 9999 07:28:00 GMT",
    "Wed, 31 Feb 2035 99:99:99 GMT",
    "9" * 400,
    "9" * 5000,
    "1e400",
    "inf",
    "nan",
    "86400",
    "soon",
    "²",
    "",
]


@pytest.mark.parametrize("header", ["retry-after", "Retry-After-Ms"])
@pytest.mark.parametrize("number", range(len(ABSURD)))
def test_what_nobody_can_mean_is_as_if_nothing_was_asked_for(header: str, number: int) -> None:
    assert retry_after({header: ABSURD[number] + ("000" if ABSURD[number] == "86400" and "Ms" in header else "")}) is None


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": "5"}, 5.0),
        ({"Retry-After": " 5.5 "}, 5.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "5"}, 0.25),
        ({"retry-after-ms": "abc", "retry-after": "5"}, 5.0),
        ({"retry-after-ms": "9" * 400, "retry-after": "5"}, 5.0),
    ],
    ids=["seconds", "fraction", "negative", "past", "milliseconds", "unreadable-ms", "absurd-ms"],
)
def test_what_can_be_read_is_heeded(headers: dict[str, str], wait_s: float) -> None:
    assert retry_after(headers) == wait_s


@pytest.mark.parametrize("cloud", ["openai", "vertex"])
@pytest.mark.parametrize("status", [429, 503])
async def test_an_absurd_wait_is_no_reason_to_fail(settings: Settings, cloud: str, status: int) -> None:
    with CLOUDS[cloud].start() as fake, CLOUDS["compatible"].start() as other:
        models = Models(Settings.load(data_dir=settings.data_dir, **installation({cloud: fake, "compatible": other})))
        await models.warm(local=False)
        fake.always(Raw(b"{}", status, headers={"retry-after": ABSURD[0]}))
        other.always(Reply("Here."))
        assert (await models.chat().ainvoke("Hi")).text == "Here."
        await models.close()
