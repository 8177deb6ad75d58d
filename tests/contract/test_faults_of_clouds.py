"""Every scenario through every way in, at Azure and at Vertex AI, Gemini and Claude."""

from typing import ClassVar

from tests.contract.faults import FaultsAtProviders


class TestAzureAndVertex(FaultsAtProviders):
    providers: ClassVar = ("azure", "vertex", "vertex-claude")
