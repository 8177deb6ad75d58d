import numpy as np
import pytest

from chains.actions import Act, act_of
from tests.chains.test_grounding import words


def unrelated(texts):
    return np.eye(len(texts), 64, dtype=np.float32)


@pytest.mark.parametrize(
    ("question", "verb"),
    [
        ("How do I delete a collection?", "delete"),
        ("Which port is used, and how do I change it?", "change"),
        ("how to descale the kettle", "descale"),
        ("How can I see what was spent?", ""),
        ("How long is a key valid?", None),
        ("Who may delete a collection?", None),
    ],
)
def test_the_act_that_is_asked_for(question, verb):
    assert act_of(question) == verb


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("", "Remove a collection with `DELETE /collections/papers`."),
        ("", "`DELETE /sessions` forgets one."),
        ("", "Collections are deleted with `genai drop`."),
        ("To delete collections", "Send it to the address of the collection."),
        ("How do I delete a collection?", "On its page."),
    ],
)
def test_a_sentence_tells_of_an_act_itself_or_under_a_heading_that_does(heading, text):
    act = Act("delete", words, unrelated)
    assert act.told(act.vouched(heading), text)


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("Who sees a collection?", "Whoever made it, and whoever manages collections."),
        ("", "It stays until it is deleted."),
        ("", "The right to delete it is not affected."),
        ("", "`manage` lets a caller do the rest (share and delete it too)."),
        ("", "The state is `queued` or `deleted`, and it is told at once."),
        ("", "It is on record as `user.deleted`."),
        ("How do I make a collection?", "Send its name to the collections."),
        ("", "Make it with `POST /collections`."),
    ],
)
def test_an_act_that_is_taken_as_given_or_named_beside_is_not_told(heading, text):
    act = Act("delete", words, unrelated)
    assert not act.told(act.vouched(heading), text)


def test_a_setting_tells_how_something_is_changed_and_not_how_it_is_deleted():
    assert Act("change", words, unrelated).told("Logs", "| `GENAI_LOG__LEVEL` | `info` |")
    assert not Act("delete", words, unrelated).told("Logs", "| `GENAI_LOG__LEVEL` | `info` |")


def test_a_heading_that_asks_for_another_act_vouches_for_nothing():
    act = Act("cancel", words, unrelated)
    assert act.vouched("How do I follow a job?") == ""
    assert act.vouched("How do I stop a job?") == "How do I stop a job?"
    assert act.vouched("Jobs") == "Jobs"
