"""Keys and tokens of the common vendors, by the forms that the vendors publish, and what stands behind `password=`."""

import base64
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from core.redaction import pem
from core.redaction.entities import Entity, PIIType

#: Each begins with letters that hardly anything else begins with, so that the form alone is proof enough.
_FORMS = (
    r"-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?s:.{1,20000}?)-----END (?:[A-Z]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
    r"\beyJ[\w-]{8,4000}\.eyJ[\w-]{8,8000}\.[\w-]{10,2000}",  # JSON Web Token
    r"\bsk-(?:proj-|svcacct-|admin-|ant-(?:api|admin)\d\d-|or-v1-)?[\w-]{20,200}",  # OpenAI, Anthropic, OpenRouter
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",  # AWS access key
    r"\bAIza[\w-]{35}(?![\w-])",  # Google API key
    r"\bya29\.[\w-]{20,400}",  # Google OAuth token
    r"\bGOCSPX-[\w-]{28}",
    r"\bgh[pousr]_[A-Za-z0-9]{36,251}\b",  # GitHub
    r"\bgithub_pat_\w{60,255}\b",
    # GitLab; one that can be routed ends with its version, length and checksum
    r"\bgl(?:pat|ptt|rt|dt|soat|cbt|ft)-[\w-]{20,300}(?:(?:\.[0-9a-z]{2})?\.[0-9a-z]{9}(?![\w.-]))?",
    r"\bxox[abeprs]-[\w-]{10,250}",  # Slack
    r"\bxapp-\d-[\w-]{10,250}",
    r"https://hooks\.slack\.com/(?:services|workflows)/[\w/]{20,120}",
    r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,247}\b",  # Stripe
    r"\bwhsec_[A-Za-z0-9+/=]{24,100}",
    r"\bSG\.[\w-]{16,32}\.[\w-]{16,64}",  # SendGrid
    r"\bkey-[0-9a-f]{32}\b",  # Mailgun
    r"\b(?:AC|SK)[0-9a-f]{32}\b",  # Twilio
    r"\bnpm_[A-Za-z0-9]{36}\b",
    r"\bpypi-[\w-]{50,300}",
    r"\bhf_[A-Za-z0-9]{30,40}\b",  # Hugging Face
    r"\bglsa_[A-Za-z0-9]{32}_[0-9a-f]{8}\b",  # Grafana
    r"\bdop_v1_[0-9a-f]{64}\b",  # DigitalOcean
    r"\bdapi[0-9a-f]{32}(?:-\d)?\b",  # Databricks
    r"\bhv[sbr]\.[\w-]{20,200}",  # HashiCorp Vault
    r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b",  # Shopify
    r"\blin_api_[A-Za-z0-9]{40}\b",  # Linear
    r"\bntn_[A-Za-z0-9]{40,60}\b|\bsecret_[A-Za-z0-9]{43}\b",  # Notion
    r"\b\d{8,10}:AA[\w-]{33}\b",  # Telegram
    r"\bgsk_[A-Za-z0-9]{40,60}\b|\br8_[A-Za-z0-9]{37}\b|\bpplx-[A-Za-z0-9]{40,60}\b|\bxai-[A-Za-z0-9]{60,100}\b",
    r"\bgk_[A-Za-z0-9_-]{24,120}",  # this platform's own
    r"\bABSK[A-Za-z0-9+/]{90,140}={0,2}",  # Amazon Bedrock
    r"\b1//0[\w-]{30,150}",  # Google refresh token
    r"\bATATT3xFfGF0[\w=-]{20,300}",  # Atlassian
    r"\b[MNO][A-Za-z\d_-]{23,25}\.[\w-]{6}\.[\w-]{27,40}\b",  # Discord
    r"\bNRAK-[A-Z0-9]{27}\b",  # New Relic
    r"\bHRKU-[\w-]{36,70}",  # Heroku
    r"\bsq0(?:atp|csp|idp)-[\w-]{22,43}",  # Square
    r"\bfigd_[\w-]{20,60}",  # Figma
    r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}\b",  # Postman
    r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,70}",  # HCP Terraform
    r"\bpscale_(?:tkn|pw|oauth)_[\w.=-]{32,64}",  # PlanetScale
    r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9.]{40,60}",  # Doppler
    r"\bsntry[su]_[\w+/=-]{30,300}",  # Sentry
    r"\bsbp_[0-9a-f]{40}\b|\bsb_(?:secret|publishable)_[\w-]{20,60}",  # Supabase
    r"\bdckr_(?:pat|oat)_[\w-]{20,60}",  # Docker
    r"\brubygems_[0-9a-f]{48}\b",
    r"\b[0-9a-f]{32}-us\d{1,2}\b",  # Mailchimp
    r"\bpcsk_\w{40,90}",  # Pinecone
    r"\blsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}\b",  # LangSmith
    r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}\b",  # Airtable
    r"\bnvapi-[\w-]{40,120}",  # NVIDIA
    r"\bAQ\.A[\w-]{40,120}",  # Gemini
    r"\btgp_v1_[\w-]{40,60}",  # Together
    r"\btvly-(?:dev-|prod-)?(?=[a-zA-Z-]{0,100}\d)[\w-]{28,100}",  # Tavily
    r"\bCCI(?:PAT|PRJ)_[A-Za-z0-9]{16,40}_[0-9a-f]{40}\b",  # CircleCI
    r"\bpul-[0-9a-f]{40}\b",  # Pulumi
    r"\bdt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b",  # Dynatrace
    r"(?:\bFlyV1 )?\bfm(?:1[ar]|2)_[\w+/=-]{40,3000}(?:,fm(?:1[ar]|2)_[\w+/=-]{40,3000}){0,9}|\bfo1_[\w-]{43}(?![\w-])",  # Fly
    r"\bbk(?:ua|ur|at)_[0-9a-f]{40}\b|\bbkct_[\w.-]{40,200}",  # Buildkite
    r"\bEZ[AT]K[A-Za-z0-9]{54}\b",  # EasyPost
    r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b",
    r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~-])",  # Microsoft Entra client secret
    r"(?i:\b(?:AccountKey|SharedAccessKey)=)[A-Za-z0-9+/]{40,100}={0,2}",  # Azure
)
#: Every form has as long a run without a blank, and hardly a word of prose has.
_LONG = re.compile(r"[\w/+=.:-]{15}|-----BEGIN ")
#: Where a word begins and ends, also beside an underscore: `call_AKIA…` holds a key as well.
_BEGIN, _END = r"(?<![^\W_])", r"(?![^\W_])"
_BY_FORM = re.compile(
    "|".join(
        (_BEGIN if form.startswith(r"\b") else "")
        + form.removeprefix(r"\b").removesuffix(r"\b")
        + (_END if form.endswith(r"\b") else "")
        for form in _FORMS
    )
)

_VALUE = r"[\"'`]?(?P<value>[^\s\"'`<>,;]{6,500})"
_SAYS = r"[\"']?\s{0,3}(?::=|=>|[:=])\s{0,3}"
#: A name that says what follows, also at the end of a longer one (`DB_PASSWORD`, `dbPassword`). The value is taken up to the
#: next blank or quote.
_NAMED = re.compile(
    rf"(?i)(?:passw(?:or)?d|passphrase|api[ _-]?key|(?:{_BEGIN}|(?-i:(?<=[a-z0-9])(?=[A-Z])))(?:pwd|secret(?:[ _-]?key)?|"
    r"(?:access|account|encryption|master|private|signing|subscription)[ _-]?key|"
    r"(?:access|auth|bearer|refresh|security|session)[ _-]?token|client[ _-]?secret|bearer))"
    rf"(?:_?\d{{1,2}})?(?:{_SAYS}|[\"']?\s{{1,3}}is\b:?\s{{0,3}}|\s(?=[A-Za-z0-9+/_.=-]{{20}})){_VALUE}"
)
#: Names of settings that end so stand before other things too: their value has to look like a key.
_MAYBE_NAMED = re.compile(rf"(?i)[a-z0-9][_-](?:key|token|secret|credentials?|pass|pat|auth)(?:_?\d{{1,2}})?{_SAYS}{_VALUE}")
_KEY_LIKE = re.compile(r"(?=[A-Za-z+]{0,100}\d)(?=[\d+]{0,100}[A-Za-z])[A-Za-z0-9+]{16}")
_AUTHORIZATION = re.compile(
    rf"(?i){_BEGIN}authorization{_SAYS}[\"']?(?P<scheme>[a-z][a-z0-9-]{{2,20}})[ \t]{{1,3}}(?P<value>[\w+/=.~:-]{{6,4000}})"
)
_LOOKED_UP = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|->)\w+)*(?:[(\[]$|\(.*\)$|\[.*\]$)")
_NAME = re.compile(r"[\w.-]{1,80}\Z")
#: An AWS secret access key, which has no form but its length: 40 characters of base64.
_BARE = re.compile(r"(?<![\w/+.-])[A-Za-z0-9/+]{40}(?![\w/+=-])")
#: So near to the key's identifier, before or behind it, it is taken for its secret; elsewhere where it stands alone on a line.
_NEAR = 300
_KEY_ID = re.compile(rf"{_BEGIN}(?:AKIA|ASIA)[A-Z2-7]{{16}}{_END}")
_ALONE = re.compile(r"(?:^|\n)[ \t>*\-\"'`(\[]*\Z"), re.compile(r"[ \t\"'`,;)\].]*(?:\r?\n|\Z)")
#: A line that only a longer text in base64 has: a certificate, a picture.
_BLOCK = re.compile(r"[A-Za-z0-9/+]{40,}={0,2}\Z")
#: Bits a character, and changes between small letters, capitals, digits and signs, that 40 characters drawn by lot have, all
#: but 1 in 400 of them; hashes in hexadecimal, paths and names in camel case have fewer.
_DRAWN_BITS, _DRAWN_CHANGES = 4.25, 16
#: Passwords within addresses: `postgres://user:password@host`.
_IN_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,100}:(?P<value>[^\s/@]{3,200})@")


def find(text: str) -> Iterator[Entity]:
    """The secrets of a text."""
    if _LONG.search(text):
        by_form = [match.span() for match in _BY_FORM.finditer(text)]
        keys = [(a, b) for a, b in pem.find(text) if not any(start <= a and b <= end for start, end in by_form)]
        for start, end in (*by_form, *keys):
            yield Entity(PIIType.SECRET, start, end, 1.0)
        for match in _BARE.finditer(text):
            if _is_drawn(match[0]) and (_is_by_its_id(text, match) or _is_alone(text, match)):
                yield Entity(PIIType.SECRET, *match.span(), 0.9)
    for match in _IN_ADDRESS.finditer(text):
        yield Entity(PIIType.SECRET, *match.span("value"), 1.0)
    for match in _named(text):
        start = match.start("value")
        yield Entity(PIIType.SECRET, start, start + len(_value(match)), 0.9)


def labelled(text: str) -> Iterator[tuple[int, int]]:
    """Where a name with its secret stands: from the beginning of the name, which is nobody's, to the end of the value."""
    for match in _named(text):
        name = _NAME.search(text, max(0, match.start() - 80), match.start())
        yield (match.start() if name is None else name.start()), match.end()


def _named(text: str) -> Iterator[re.Match[str]]:
    """The names whose value is a secret; each value once."""
    seen: set[int] = set()
    for pattern, is_secret in ((_NAMED, _is_named), (_MAYBE_NAMED, _is_key_like), (_AUTHORIZATION, _authorises)):
        for match in pattern.finditer(text):
            if match.start("value") not in seen and is_secret(match):
                seen.add(match.start("value"))
                yield match


def _is_named(match: re.Match[str]) -> bool:
    return len(_value(match)) >= 6 and _looks_random(match["value"])


def _is_key_like(match: re.Match[str]) -> bool:
    return _KEY_LIKE.search(_value(match)) is not None


def _authorises(match: re.Match[str]) -> bool:
    return _is_basic(match["value"]) if match["scheme"].lower() == "basic" else _looks_random(match["value"])


def _value(match: re.Match[str]) -> str:
    return match["value"].rstrip(".!?)]}")


def _looks_random(value: str) -> bool:
    """Whether it is more than a word, and no call or look-up of a program: `password: required` names none."""
    if _LOOKED_UP.match(value):
        return False
    return not value.isalpha() or (len(value) >= 16 and value != value.lower())


def _is_by_its_id(text: str, match: re.Match[str]) -> bool:
    return _KEY_ID.search(text, max(0, match.start() - _NEAR), match.end() + _NEAR) is not None


def _is_alone(text: str, match: re.Match[str]) -> bool:
    """Whether nothing but quotes and such stands beside it on its line, and it is no line of a longer text in base64."""
    before, behind = _ALONE
    begin = before.search(text, max(0, match.start() - 40), match.start())
    end = behind.match(text, match.end())
    if begin is None or end is None or (begin.start() and text[begin.start()] != "\n"):
        return False
    above = text[: begin.start()].rpartition("\n")[2].strip()
    below = text[end.end() :].partition("\n")[0].strip()
    return not (_BLOCK.match(above) or _BLOCK.match(below))


def _is_drawn(value: str) -> bool:
    """Whether the characters look as if they were drawn by lot: of every kind, hardly any twice, and well mixed."""
    kinds = ["A" if one.isupper() else "a" if one.islower() else "0" if one.isdigit() else "+" for one in value]
    if not {"A", "a", "0"} <= set(kinds):
        return False
    shares = [count / len(value) for count in Counter(value).values()]
    bits = -sum(share * math.log2(share) for share in shares)
    return bits >= _DRAWN_BITS and sum(one != other for one, other in pairwise(kinds)) >= _DRAWN_CHANGES


def _is_basic(value: str) -> bool:
    """Whether it is a name and a password in base64, as HTTP's `Basic` has them."""
    try:
        return b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False
