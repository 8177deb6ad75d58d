"""What the code capabilities take: fields that they share."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from chains.parameters import ModelChoice

MAX_CODE = 200_000

Code = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CODE, pattern=r"\S", strict=True)]
Instruction = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S", strict=True)]


def _name(said: str) -> str:
    if not re.fullmatch(r"[\w.+#/() -]+", said):
        raise ValueError("a language's name has letters, digits, spaces and any of . + # / ( ) -")
    return said


Language = Annotated[str, StringConstraints(min_length=1, max_length=40, strict=True), AfterValidator(_name)]


class CodeInput(ModelChoice):
    """Code, and what to do with it."""

    code: Code = Field(description="the code, in any language")
    language: Language | None = Field(None, description="its language; empty: found from the code, else from the instruction")
    instruction: Instruction | None = Field(None, description="what to pay attention to")
