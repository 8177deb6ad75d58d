"""Every scenario through every way in, at servers of OpenAI's protocol and at Bedrock."""

from typing import ClassVar

from tests.contract.faults import FaultsAtProviders


class TestOpenAIAndBedrock(FaultsAtProviders):
    providers: ClassVar = ("openai", "compatible", "bedrock")
