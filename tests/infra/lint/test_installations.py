"""An overlay and its stack say the same of an installation."""

from pathlib import Path

from tests.infra.planted import copied, said

VALUES = "infra/k8s/overlays/staging/aws/values.yaml"
STACK = 'locals {{\n  domain = "{domain}"\n}}\n\nmodule "platform" {{\n  cidr = "{cidr}"\n}}\n'


def test_a_network_and_a_host_that_differ_are_found(tmp_path: Path) -> None:
    tree = copied(tmp_path, VALUES)
    stack = tree.root / "infra/terraform/live/aws/staging/main.tf"
    stack.parent.mkdir(parents=True)
    stack.write_text(STACK.format(domain="genai.staging.example.com", cidr="10.20.0.0/16"))
    assert said("installations", tree) == []
    stack.write_text(STACK.format(domain="genai.example.com", cidr="10.21.0.0/16"))
    assert said("installations", tree) == [
        f"{VALUES}:11: network is 10.20.0.0/16, and in Terraform's stack 10.21.0.0/16",
        f"{VALUES}:9: host is genai.staging.example.com, and in Terraform's stack genai.example.com",
    ]


def test_an_overlay_without_a_stack_is_left_alone(tmp_path: Path) -> None:
    assert said("installations", copied(tmp_path, VALUES)) == []
