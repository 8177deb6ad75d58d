"""Words that say nothing, little, or all of what a question is about: closed classes of English and German, as data."""

import re


def listed(text: str) -> frozenset[str]:
    """The words of a text, which are divided by blanks."""
    return frozenset(re.findall(r"\S+", text))


#: Articles, pronouns, prepositions, conjunctions, auxiliaries and words of asking.
ENGLISH = listed(
    "a about above across after again against ahead all alone along already also although always am among an and another "
    "any anybody anyone anything anywhere apart are around as at away be because been before behind being below beneath "
    "beside besides between beyond both but by can cannot could did do does doing done down during each either else enough "
    "even ever every everybody everyone everything few for from had has have having he hence her here hers herself him "
    "himself his how however i if in inside instead into is it its itself just least less like many may me might mine more "
    "most much must my myself near neither never no nobody none nor not nothing now of off often on once only onto or other "
    "others otherwise ought our ours ourselves out outside over own per perhaps please quite rather really same shall she "
    "should since so some somebody someone something somewhere still such than that the their theirs them themselves then "
    "there these they this those though through throughout till to together too toward towards under unless until up upon "
    "us usually very via was we were what whatever when whenever where wherever whether which while who whoever whom whose "
    "why will with within without would yes yet you your yours yourself dont doesnt isnt arent wont cant im ive"
)
GERMAN = listed(
    "ab aber alle allem allen aller alles als also am an andere anderen ans auch auf aus bei beim bereits bin bis bist "
    "bitte da dabei dafür damit dann daran darauf daraus darf darin darum darüber das dass davon dazu dein deine dem den "
    "denn der des dessen dich die dies diese diesem diesen dieser dieses dir doch dort du durch dürfen ein eine einem einen "
    "einer eines er es etwa etwas euch euer für gegen gerade gibt hab habe haben hat hatte hatten her hier hin hinter ich "
    "ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in ins ist ja jede jedem jeden jeder jedes jemand jetzt kann kein "
    "keine keinem keinen keiner kannst können könnte man mein meine meinem meinen meiner mich mir mit möchte muss musst "
    "müssen nach nicht nichts noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner seit sich sie sind so "
    "soll sollen sollte sonst um und uns unser unsere unter viel viele vielen vom von vor wann war waren warum was weil "
    "welche welchem welchen welcher welches wem wen wenn wer werde werden wessen wie wieder wieso wieviel will wir wird wo "
    "woher wohin womit wofür worauf worin wozu wurde wurden zu zum zur zwischen über"
)
#: What is said in all kinds of questions, so that an answer need not say it again.
LIGHT = listed(
    "able allow allowed answer ask become began begin begins belong bring brings call called came come comes concern "
    "consist contain contains cost costs date day days describe exist exists explain find gave get gets getting give given "
    "gives go goes going happen happened happens heißt held help helps hold holds include includes keep keeps kept kind "
    "kinds know let lie lies long look main make makes making mean means money must name named names necessary need needed "
    "needs number often part place possible put question reason recommended say says see set show stand stands sort take "
    "taken takes tell thing things time times tool took try type types use used uses using want wants way ways week went "
    "will wish work works worked working pay pays paid year years first last new"
    " old good best big small high low far wide tall deep heavy large fast "
    "show shows showing shown displays displayed appears "
    "hand carry halten tage tagen dauert geht heissen heißen kommt kommen kosten kostet liegt macht machen nennt steht"
)
#: Who stand across from each other: near in meaning, and never the same.
PARTIES = listed(
    "landlord tenant lessor lessee buyer seller purchaser vendor supplier customer employer employee teacher pupil student "
    "doctor patient lender borrower creditor debtor sender recipient host guest plaintiff defendant parent child "
    "vermieter mieter käufer verkäufer lieferant kunde arbeitgeber arbeitnehmer lehrer schüler arzt gläubiger schuldner "
    "absender empfänger gastgeber gast kläger beklagter"
)
#: Members of a class of which one excludes the others: they are not put in other words, however near they are in meaning.
EXCLUSIVE = (
    listed(
        "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september "
        "october november december spring summer autumn fall winter north south east west northern southern eastern western "
        "left right upper lower front rear red blue green yellow black white brown orange purple pink grey gray male female "
        "husband wife father mother son daughter brother sister uncle aunt grandmother grandfather grandma grandpa grandson "
        "granddaughter niece nephew cousin stepmother stepfather stepson stepdaughter godmother godfather vater mutter sohn "
        "tochter bruder schwester onkel tante großmutter großvater oma opa enkel neffe nichte "
        "morning noon evening night weekday weekend christmas "
        "easter "
        "montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag januar februar märz mai juni juli oktober "
        "dezember frühling sommer herbst rot blau grün gelb schwarz weiß "
    )
    | PARTIES
)
_COLOURS = listed(
    "red blue green yellow black white brown orange purple pink grey gray silver gold beige violet rot blau grün gelb "
    "schwarz weiß braun grau rosa"
)
#: What is asked for by the name of a class and answered by one of its members.
CLASSES = dict.fromkeys(listed("colour colours color colors farbe"), _COLOURS)
#: Words that say the same of a thing from another side, and lie far from each other in meaning.
SAME: dict[str, frozenset[str]] = {
    "earn": listed("salary wage wages pay income earns earned earnings"),
    "expire": listed("lapse lapses lapsed expires end ends valid until"),
    **dict.fromkeys(
        listed("choose chosen chose choice select selected pick picked prefer preferred"),
        listed("choose chosen chose choice select selected pick picked prefer preferred decide decides decided decision opted"),
    ),
    **dict.fromkeys(listed("weigh weighs heavy"), listed("weigh weighs weight weights heavy kg kilograms tonnes")),
    **dict.fromkeys(listed("schwer wiegt wiegen"), listed("schwer wiegt wiegen gewicht kg")),
    "borrow": listed("lend lends lent loan loans borrowed"),
}
#: What is answered by a number, mostly without its name.
MEASURES = listed(
    "limit weight height length width depth age speed temperature distance duration size period amount percentage maximum "
    "minimum value values pressure voltage frequency capacity volume power "
    "gewicht höhe länge breite tiefe alter größe dauer zeitraum frist betrag druck spannung"
)
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_GERMAN = "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"
#: Words of a number, in small letters, with its digits.
NUMBERS: dict[str, str] = {
    word: str(value) for words in (_UNITS, _ORDINALS, _GERMAN) for value, word in enumerate(words.split())
} | {word: str(value) for value, word in zip(range(20, 100, 10), _TENS.split(), strict=True)}
NUMBERS |= {
    f"{ten}-{unit}": str(int(NUMBERS[ten]) + int(NUMBERS[unit])) for ten in _TENS.split() for unit in _UNITS.split()[1:10]
}
NUMBERS |= {f"{word[:-1]}ieth": NUMBERS[word] for word in _TENS.split()} | {"hundred": "100", "thousand": "1000"}
#: They count, and they point, so a question that has one need not be about it.
POINTING = frozenset({"zero", "one", "first", "second", "null", "eins"})
#: Verbs of which one may stand for another where it is asked how something is done.
_SYNONYMS = (
    "delete remove erase drop forget forgets purge discard",
    "make create add new",
    "change set choose configure adjust select switch alter edit modify replace",
    "raise increase lower reduce decrease limit",
    "list show view",
    "stop end quit halt cancel abort",
    "disable off deactivate",
    "turn switch off on enable disable",
    "start run launch begin",
    "upgrade update",
    "upload add bring import ingest",
    "rename name",
    "restore recover undelete",
    "revoke withdraw",
    "rotate replace renew",
    "export download",
    "merge join combine",
)
ACTS: dict[str, frozenset[str]] = {
    verb: frozenset(other for verbs in _SYNONYMS if verb in verbs.split() for other in verbs.split())
    for verb in " ".join(_SYNONYMS).split()
}
#: What the name of a setting answers by itself.
SETTING_ACTS = listed(
    "change set choose configure adjust select raise increase lower reduce decrease limit turn disable enable"
)
#: Acts that a sentence need not name.
VAGUE_ACTS = listed(
    "use get see find know do have go tell work call ask need want handle deal take give put keep look be learn"
)
_OPPOSITES = (
    ("die dies died dead death deaths dying", "live lives lived living alive survive survived born birth"),
    ("buy buys bought buyer purchase purchased", "sell sells sold seller sale"),
    ("win wins won winner", "lose loses lost loser"),
)
#: Words that are near each other in meaning, and deny each other.
OPPOSITES: dict[str, frozenset[str]] = {
    word: listed(other) for one, two in _OPPOSITES for words, other in ((one, two), (two, one)) for word in words.split()
}
