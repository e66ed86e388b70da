"""Finds people's names in a sentence as written: capitalised words that are not the other things English capitalises."""  # noqa: E501

from __future__ import annotations

import re

from enrich.words import COMMON_OPENERS

_PARTICLE = (
    r"(?:van der|van den|van de|von der|de la|de los|del|van|von|de|da|di|le|la|el|al|bin|ten|ter|zu|O'|Mc|Mac|d')"
)
_WORD = r"[A-ZÀ-ÖØ-ÞŚŠŁŻČĆ][a-zà-öø-ÿœřńśšłżčćğ]+(?:[-'’][A-ZÀ-Ö][a-zà-öø-ÿ]+)*|O['’][A-Z][a-z]+|M(?:a)?c[A-Z][a-z]+|D['’][A-Z][a-z]+"  # noqa: E501
_NAME = re.compile(rf"(?<![\w@.])((?:{_WORD})(?: (?:[A-Z]\. )?(?:{_PARTICLE} )?(?:{_WORD})){{0,2}})(?![\w@])")
_TITLE = re.compile(
    r"^(?:Mr|Mrs|Ms|Dr|Prof|Herrn?|Frau|Monsieur|Madame|Señora?|Sr|Sra|Mevrouw|Meneer|Dhr|Mevr|M|Mme)\.? "
)


_GERMAN = re.compile(
    r"\b(?:der|die|das|den|dem|ein|eine|einen|ist|sind|und|nicht|wir|ich|sie|mit|für|auf|von|zu|hat|haben|bei|bitte|wird|nur|auch|aus)\b"
)
_HONORIFIC = re.compile(r"(?:Herrn?|Frau|Kollegin|Kollege|Kollegen) $")


class Names:
    """Person names, given words that are capitalised but are not people.

    Args:
        not_names: Lower-case words: products, companies, months, weekdays, roles, countries.
    """

    def __init__(self, not_names: frozenset[str]) -> None:
        self._not_names = not_names

    def find(self, text: str) -> list[str]:
        """Names in reading order, without titles; a lone first word of a sentence counts only when it is no common word."""  # noqa: E501
        found: list[str] = []
        nouns_are_capital = len(_GERMAN.findall(text)) >= 2
        for match in _NAME.finditer(text):
            words = match[1].split(" ")
            starts = match.start() == 0 or text[: match.start()].rstrip()[-1:] in {
                ".",
                "!",
                "?",
                ":",
                '"',
                "\n",
                "-",
                "•",
            }
            if _is_place(text, match.start(), match.end(), words):
                continue
            if words[0] == "May" and _MODAL_MAY.match(text, match.start()):
                words.pop(0)
            while words and self._is_no_name(words[0], starts):
                words.pop(0)
                starts = False
            while words and self._is_no_name(words[-1], False):
                words.pop()
            if (
                nouns_are_capital
                and len(words) == 1
                and not _HONORIFIC.search(text[: match.start()])
                and not match[1].startswith(("Herr", "Frau"))
            ):
                continue
            name = " ".join(words)
            name = _TITLE.sub("", name)
            if name and any(word[0].isupper() for word in words):
                found.append(name)
        return found

    def _is_no_name(self, word: str, starts: bool) -> bool:
        low = word.lower()
        return low in self._not_names or (starts and low in COMMON_OPENERS) or low in _NEVER


_ARTICLE = re.compile(r"\b(?:[Tt]he|[Aa]n?)\s$")
_LOCATIVE = re.compile(r"\b(?:[Ii]n|[Aa]t|[Nn]ear|[Vv]ia|[Oo]utside|[Aa]round|[Ii]nto|[Tt]hrough)\s(?:the\s)?$")
_ROUTE_BEFORE = re.compile(r"\w\s?[-–—/]\s$")
_ROUTE_AFTER = re.compile(r"\s[-–—/]\s?[A-ZÀ-Þ]")
_NOUN_AFTER = re.compile(r"\s[a-zà-ÿ]")
_MODAL_MAY = re.compile(r"May (?:we|i|I|you)\b")
_PLACE_PARTS = frozenset(
    "city beach falls springs valley park harbour harbor port bay keynes hill hills island islands county airport fort saint st san santa los las le la new north south east west"  # noqa: E501, SIM905
    " street road avenue lane quay dock terminal kingdom states".split()
)


def _is_place(text: str, start: int, end: int, words: list[str]) -> bool:
    """Whether capitals name a place or a thing by where they stand: "the Genoa sailing", "in Leeds", "Lyon - Turin"."""
    before, after = text[max(0, start - 12) : start], text[end : end + 4]
    if _LOCATIVE.search(before) or _ROUTE_BEFORE.search(before) or _ROUTE_AFTER.match(after):
        return True
    if _ARTICLE.search(before) and _NOUN_AFTER.match(after):
        return True
    return len(words) > 1 and (words[0].lower() in _PLACE_PARTS or words[-1].lower() in _PLACE_PARTS)


# Capitalised in the middle of sentences often enough, and nobody's name.
_NEVER = frozenset(
    """
    i the a an and or but our my your his her their this that these those we you he she it they is are was were will would can could please thanks thank
    hi hello dear hey regards best cheers sent from to cc re fw fwd subject date yes no not ok okay sorry sure great good well so also then there here
    cfo ceo coo cio cto vp it hr erp wms tms api edi sso iso soc gdpr dpa nda msa sla eta kpi roi us uk eu usa q1 q2 q3 q4
    head director manager lead chief officer operations logistics procurement purchasing finance transport warehouse supply chain planning sales marketing legal
    security team board department group international limited gmbh ltd inc llc plc ag bv sa sas sl
    das der die den dem ein eine wir sie ich er es und oder aber bitte danke hallo guten tag liebe lieber herr frau leider unser unsere mein meine kollege kollegin kollegen ansprechpartner ansprechpartnerin
    bereich leiter leiterin leitung einkauf logistik vertrieb geschäftsführer geschäftsführung abteilung zentrale lager budget thema termin woche monat jahr angebot vertrag
    unternehmen firma rolle position stelle nachfolger nachfolgerin urlaub elternzeit ende anfang mitte
    le la les un une des nous vous je il elle et ou mais bonjour merci mon ma notre votre cher chère monsieur madame service
    el los las una nosotros usted ustedes yo y o pero hola gracias mi nuestro señor señora buenos días estimado estimada
    de het een wij jullie ik hij zij en of maar hallo dank beste mijn onze mevrouw meneer geachte
    monday tuesday wednesday thursday friday saturday sunday
    english german french spanish dutch europe european germany france spain netherlands ireland britain england london berlin paris madrid amsterdam
    teams zoom outlook google microsoft linkedin slack email mail
    since after before while when if as although because once until for with by in on at of per via yet still just maybe perhaps actually honestly frankly unfortunately sadly currently recently
    um uh er erm hm hmm ah oh eh look right yeah yep okay half third quarter nearly almost most many several some all both each every more less much enough once twice first second next last another
    other others nobody everybody everyone somebody someone nothing everything anything something one two three four five six seven eight nine ten eleven twelve hundred thousand
    believe according regarding concerning whom who what which where how why whose without unless until despite besides instead
    let ask talk speak contact call reach try meet see note fyi ps
    """.split()  # noqa: E501, SIM905
)
