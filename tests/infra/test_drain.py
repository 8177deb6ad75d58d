"""Whoever stops a server waits until its open answers have had their time. Kubernetes is held by the check `availability`."""

import re

import yaml

from core.settings import Settings
from infra.lint.application import ROOT
from infra.lint.checks.availability import ENDING_S


def test_compose_waits_for_the_drain_before_it_kills() -> None:
    platform = yaml.safe_load((ROOT / "infra/compose/compose.yaml").read_text())["services"]["platform"]
    given = {name: value for name, value in platform["environment"].items() if name.startswith("GENAI_SHUTDOWN__")}
    assert given == {}  # the defaults hold
    shutdown = Settings.model_fields["shutdown"].default
    assert int(platform["stop_grace_period"].removesuffix("s")) >= shutdown.notice_s + shutdown.grace_s + ENDING_S


def test_ecs_waits_for_the_drain_before_it_kills() -> None:
    module = (ROOT / "infra/terraform/modules/aws/ecs/main.tf").read_text()
    stop = re.search(r"stopTimeout\s+= (\d+)", module)
    grace = re.search(r'GENAI_SHUTDOWN__GRACE_S\s+= "(\d+)"', module)
    assert stop is not None
    assert grace is not None
    assert int(stop[1]) >= int(grace[1]) + ENDING_S


def test_an_answer_may_take_as_long_as_the_grace() -> None:
    assert Settings.model_fields["shutdown"].default.grace_s >= Settings.model_fields["timeouts"].default.total
