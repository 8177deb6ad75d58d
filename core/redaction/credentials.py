"""Keys and tokens of the common vendors, by the forms that the vendors publish, and what stands behind `password=`."""

import re
from collections.abc import Iterator

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
    r"\bgl(?:pat|ptt|rt|dt|soat|cbt|ft)-[\w-]{20,64}",  # GitLab
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
    r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b",
    r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~-])",  # Microsoft Entra client secret
    r"(?i:\b(?:AccountKey|SharedAccessKey)=)[A-Za-z0-9+/]{40,100}={0,2}",  # Azure
)
#: Every form has as long a run without a blank, and hardly a word of prose has.
_LONG = re.compile(r"[\w/+=.:-]{15}|-----BEGIN ")
_BY_FORM = re.compile("|".join(_FORMS))

#: A name that says what follows. The value is taken up to the next blank or quote.
_NAMED = re.compile(
    r"(?i)\b(?:password|passwd|passphrase|pwd|api[ _-]?key|apikey|secret(?:[ _-]?key)?|access[ _-]?key|auth[ _-]?token|"
    r"access[ _-]?token|refresh[ _-]?token|client[ _-]?secret|private[ _-]?key|bearer)"
    r"(?:[\"']?\s{0,3}(?:[:=]|\bis\b:?)\s{0,3}|\s(?=[A-Za-z0-9+/_.=-]{20}))[\"'`]?(?P<value>[^\s\"'`<>,;]{6,500})"
)
#: Passwords within addresses: `postgres://user:password@host`.
_IN_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,100}:(?P<value>[^\s/@]{3,200})@")


def find(text: str) -> Iterator[Entity]:
    """The secrets of a text."""
    if _LONG.search(text):
        for match in _BY_FORM.finditer(text):
            yield Entity(PIIType.SECRET, *match.span(), 1.0)
    for match in _IN_ADDRESS.finditer(text):
        yield Entity(PIIType.SECRET, *match.span("value"), 1.0)
    for match in _NAMED.finditer(text):
        value = match["value"].rstrip(".!?)]}")
        if len(value) >= 6 and _looks_random(value):
            start = match.start("value")
            yield Entity(PIIType.SECRET, start, start + len(value), 0.9)


def _looks_random(value: str) -> bool:
    """Whether it is more than a word: `password: required` names none."""
    return not value.isalpha() or (len(value) >= 16 and value != value.lower())
