"""Whether a text tells a reason: what is asked for by `why`, and by what something was caused."""

import re

ASKS = (
    r"^\W*why\b|\bhow come\b|\bwhat (?:was |were |is |are )?(?:the )?(?:causes?|caused|reasons?|led to|triggered)\b|"
    r"^\W*(?:warum|weshalb|wieso|weswegen)\b|\bwas (?:war|ist) (?:der grund|die ursache)\b"
)
_TELLS = re.compile(
    r"\b(?:because|since|as (?:the|it|its|they|we|there)|so (?:that|as)|in order|causes?|caused|causing|reasons?|due to|owing|"
    r"thanks to|results?|resulted|resulting|therefore|thus|hence|leads?|led|triggers?|triggered|prevents?|avoids?|protects?|"
    r"otherwise|or else|lest|would|could|might|for (?:safety|security|lack|want|fear|example)|(?:so|too) \w+|"
    r"(?<!up )to (?!\d)[a-z]+|by (?!\d)[a-z]+|after (?!\d)[a-z]+|when|if|unless|until [a-z]+|means?|meant|allows?|helps?|"
    r"fail(?:s|ed)?|broken?|had been|makes?|made|keeps?|needs?|weil|da|denn|wegen|aufgrund|damit|sonst|andernfalls|grund|"
    r"gründen?|ursache|deshalb|daher|darum|um|würden?|könnten?)\b",
    re.I,
)


def tells_cause(text: str) -> bool:
    """Whether something in the text may be a reason. Told widely: what only says again that something is so tells none."""
    return bool(_TELLS.search(text))
