"""Whether a text names somebody who does something: what `who` asks for."""

import re

from chains.addresses import without_addresses
from chains.vocabulary import ENGLISH, EXCLUSIVE, GERMAN, PARTIES, listed

#: Whoever does something, without a name.
_SOMEBODY = re.compile(
    r"\b(?:by (?:the|an?|our|your|his|her|their) \w+|(?:von|vom|durch) \w+|"
    r"we|i|you|us|they|he|she|anyone|anybody|everyone|everybody|nobody|no one|all|whoever|who|staff|team|people|"
    r"men|man|women|"
    r"woman|crew|committee|board|council|department|office|company|parents?|child(?:ren)?|students?|members?|guests?|"
    rf"(?i:{'|'.join(sorted(PARTIES))})s?|trainees?|assistants?|accountants?|attendants?|residents?|clerks?|guards?|experts?|"
    r"volunteers?|head|chief|captain|cook|chef|nurse|boss|wir|sie|frau|herr\w*|"
    r"[a-z]{2,}(?:ers?|ors?|ists?|ians?|smen|sman))\b"
)
#: A sentence that begins with a name: `Ben buys the drinks`.
_DOES = re.compile(
    r"(?!(?:The|An?|Our|Your|My|Its|This|These|All|Every|Each|No|In|On|At|Der|Die|Das|Ein\w*)\b)"
    r"[A-Z][\w'’-]*(?: and [A-Z][\w'’-]*)? (?:,|(?!is\b|was\b|has\b|does\b)[a-z]+s|[a-z]+(?<!e)ed|will|"
    r"(?:is|was|has been) (?:asked|responsible|in charge|chosen|elected|appointed|expected|supposed|to [a-z]+)\b) "
)
#: Capitals that name nobody.
_NAMELESS = (
    ENGLISH
    | GERMAN
    | EXCLUSIVE
    | listed("mondays tuesdays wednesdays thursdays fridays saturdays sundays")
    | listed("sept september august november december dezember eur usd gbp chf ltd gmbh inc llc plc corp")
)
#: Words that end so and are nobody.
_NOBODY = listed(
    "other under over after never ever order number paper water offer later rather whether either summer winter "
    "letter matter computer server corner border center cover floor door error color for or her per super power "
    "former latter further tower dinner together however quarter"
) | frozenset(
    f"{device}{ending}"
    for device in listed(
        "cutter laser printer scanner copier mixer dryer washer dishwasher heater boiler freezer cooker toaster blender router "
        "charger timer trailer container projector motor tractor monitor sensor compressor generator elevator escalator "
        "refrigerator radiator conductor extractor evaporator ventilator calculator indicator connector adapter adaptor "
        "transformer dehumidifier humidifier sprinkler mower trimmer grinder sander planer drawer locker counter folder "
        "speaker receiver transmitter controller reader starter burner hammer spanner ladder roller shutter corridor mirror "
        "tumbler kayak vector factor sector interior exterior behavior colour flavour newsletter cylinder cover layer"
    )
    for ending in ("", "s")
)
#: German writes every noun with a capital: of those alone that are somebody by their ending, and of two that stand together.
_GERMAN_SOMEBODY = re.compile(
    r"\b(?:Frau|Herrn?|Dr\.|Prof\.|Firma|GmbH|AG|KG|eV|e\. ?V\.)(?!\w)|"
    r"\b(?:wir|ich|sie|er|ihr|niemand|jede[rnm]?|alle|jemand|wer|man)\b|"
    r"\b\w*(?:[Vv]orstand|[Aa]usschuss|[Ll]eitung|[Rr]at|[Aa]mt|[Gg]ericht|[Vv]erein|[Pp]artei|[Mm]annschaft|[Gg]esellschaft|"
    r"[Vv]ersammlung|[Vv]erwaltung|[Bb]ehörde|[Ss]telle|[Vv]orsitzende[rn]?|[Mm]itglied\w*|[Ll]eute|[Ee]ltern|[Kk]ind\w*|"
    r"[Mm]ann|[Ff]rau|[Pp]erson\w*|[Aa]ngestellte\w*|[Kk]und\w+)\b|"
    r"\b[A-ZÄÖÜ]\w{2,}(?:er|erin|ern|innen|ist|isten|istin|or|oren|ent|enten|entin|ende|enden|ender|ling|linge)\b"
)
_GERMAN_NAMES = re.compile(
    r"(?<![.!?:|] )(?<!^)\b[A-ZÄÖÜ][a-zäöüß]+(?:-[A-ZÄÖÜ][a-zäöüß]+)* [A-ZÄÖÜ][a-zäöüß]+(?:-[A-ZÄÖÜ][a-zäöüß]+)*\b"
)
_GERMAN_NOBODY = listed(
    "september oktober november dezember januar februar fenster zimmer wasser nummer sommer winter messer alter ufer dauer "
    "mauer leiter theater computer server keller eimer hammer wetter fehler fenstern zimmern termin termine kosten "
    "element elemente dokument dokumente moment prozent instrument wochenende abende enden ende ordner schalter zähler "
    "filter meter liter kilometer schilling frühling motor sektor faktor reaktor patent kalender donner nächste"
)


def names_somebody(text: str) -> bool:
    """By a name, an office, or a word for people."""
    said = without_addresses(re.sub(r"\[[^\]]*\]", " ", text))  # brackets are of a form to be filled in
    if any(word.lower() not in _NOBODY for word in _SOMEBODY.findall(said)):
        return True
    words = re.findall(r"\b\w[\w'’-]*", said)[1:]
    named = any(word[:1].isupper() and word.lower() not in _NAMELESS for word in words)
    return named or bool(_DOES.match(said.lstrip()))


def names_somebody_in_german(text: str) -> bool:
    """The same of German."""
    said = without_addresses(text)
    if any(word.group().lower() not in _GERMAN_NOBODY for word in _GERMAN_SOMEBODY.finditer(said)):
        return True
    return any(
        not {part.lower() for part in name[0].split()} & (GERMAN | _GERMAN_NOBODY) for name in _GERMAN_NAMES.finditer(said)
    )
