"""Recognizes a teacher that declines to answer, by what it says about its own task rather than by single words.

A refusal is a first sentence in which the speaker can't or won't do what was asked: a verb of assisting or writing, and then
the request or the thing requested. An apology alone is none ("I'm sorry, but this film was the best"), and neither is
reasoning ("I can't find any error", "I can't provide exact change"). Whether something usable follows is for the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_APOLOGY = (
    r"(?:(?:(?:i['’]m|i am|we['’]re|we are)\s+)?(?:(?:so|very|truly|really|deeply)\s+)?sorry|(?:my|our)?\s*apologies|"
    r"(?:i|we)(?:\s+must)?\s+apologi[sz]e|unfortunately|regrettably|thank\s+you[^.,;!\n]{0,40}|i\s+understand[^.,;!\n]{0,60})"
    r"[^.!?\w\n]{0,3}(?:\s*(?:but|however|and)\b[,\s]*)?"
)
_CANNOT = (
    r"(?:can\s?not|can['’]?t|could\s?n['’]?t|could\s+not|wo\s?n['’]t|will\s+not|(?:['’]m|\s+am|['’]re|\s+are)\s+(?:unable|not\s+able)\s+to|"
    r"(?:['’]m|\s+am)\s+not\s+(?:comfortable|allowed|permitted|going)\s+(?:to|with)?|do(?:n['’]t|\s+not)\s+feel\s+comfortable|"
    r"(?:must|have\s+to|need\s+to)\s+(?:\w+ly\s+)?(?:decline|refuse)(?:\s+to)?|(?:['’]d|\s+would)\s+(?:rather|prefer)\s+not(?:\s+to)?)"
)
_ASSIST = (
    r"(?:assist|comply|help)(?:\s+you|\s+anyone)?(?:\s*(?:[.,;:!]|$)|\s+(?:with|in|by|to|you|write|writing|create|generate)\b)"
    r"|do\s+(?:that|so|this)\s*(?:[.,;!]|$)"
)
_WRITE = (
    r"(?:writ(?:e|ing)|generat(?:e|ing)|creat(?:e|ing)|produc(?:e|ing)|compos(?:e|ing)|draft(?:ing)?|provid(?:e|ing)|"
    r"answer(?:ing)?|respond(?:ing)?\s+to|fulfill?(?:ing)?|complet(?:e|ing)|continu(?:e|ing)|process(?:ing)?|solv(?:e|ing)|"
    r"discuss(?:ing)?|engag(?:e|ing)\s+(?:in|with)|give\s+you|offer\s+you|share|participate\s+in|support|decline|refuse)"
)
_NOUNS = (
    "request|task|question|questions|prompt|content|text|texts|example|examples|sentence|sentences|problem|exercise|message|"
    "story|review|reviews|response|answer|information|material|assistance|help|advice|instructions|conversation|topic|output"
)
_MODEL = (
    r"(?:as|being)\s+(?:an?\s+)?(?:ai\b(?=\s*,|\s+(?:language|model|assistant|chatbot|system|i\b))|(?:large\s+)?language\s+model|"
    r"artificial\s+intelligence|(?:virtual|digital)\s+assistant)"
    r"|i(?:['’]m|\s+am)\s+(?:just\s+|only\s+)?an?\s+(?:ai\b|(?:large\s+)?language\s+model|(?:virtual|digital)\s+assistant)"
)
_OTHER_LANGUAGES = (
    r"(?:(?:很|非常)?抱歉|对不起)[，,]?\s*(?:但是?)?我?(?:无法|不能)|我(?:无法|不能)(?:提供|协助|帮助|回答|生成|满足)"
    r"|作为(?:一个|一名)?(?:人工智能|ai|语言模型|大型语言模型)"
    r"|(?:申し訳(?:ありません|ございません)|すみません)[^。\n]{0,40}(?:できません|お手伝い|お答え)"
    r"|(?:es\s+)?tut\s+mir\s+leid,[^.!?\n]{0,60}\b(?:helfen|weiterhelfen|schreiben|erstellen|beantworten)"
    r"|(?:je\s+suis\s+)?désolée?,[^.!?\n]{0,20}je\s+ne\s+peux\s+pas\s+(?:vous\s+|t['’])?(?:aider|répondre|écrire|fournir|générer|créer)"
    r"|lo\s+siento,[^.!?\n]{0,20}no\s+puedo\s+(?:ayudar|escribir|generar|proporcionar|responder|cumplir|crear)"
    r"|(?:desculpe|sinto\s+muito),[^.!?\n]{0,20}não\s+posso\s+(?:ajudar|escrever|gerar|fornecer|responder|criar)"
    r"|(?:извините|простите|к\s+сожалению),[^.!?\n]{0,20}я\s+не\s+могу\s+(?:помочь|ответить|написать|предоставить|выполнить|создать)"
)


@lru_cache(maxsize=64)
def _compile(nouns: frozenset[str]) -> re.Pattern[str]:
    known = "|".join([_NOUNS, *(re.escape(noun) for noun in sorted(nouns))])
    # At most five words between the verb and what it is about: "write a positive review", "provide that".
    thing = rf"(?:\s+[\w'’-]+){{0,5}}?\s+(?:(?:{known})\b|(?:that|this|it|so)\s*(?:[.,;!]|$)|for\s+you\b)"
    act = rf"(?:{_ASSIST})|{_WRITE}{thing}|(?:with\s+)?(?:this|that|your)\s+request"
    own = rf"(?:{_APOLOGY})?\s*(?:i|we)\s*{_CANNOT}\s*(?:\w+ly\s+)?(?:{act})"
    short = r"(?:sorry|no)[^\w\n]{0,3}(?:i\s+)?(?:can['’]?t|cannot|won['’]t)\s*(?:[.,;!]|$)"
    return re.compile(rf"[\W_]*(?:{own}|{short}|(?:{_APOLOGY})?\s*(?:{_MODEL})|{_OTHER_LANGUAGES})", re.IGNORECASE)


def is_refusal(text: str, nouns: Iterable[str] = ()) -> bool:
    """Whether a text begins as a refusal.

    Args:
        text: a reply, or a part of one.
        nouns: what was asked for, such as ``review``, on top of the usual words (request, text, question).
    """
    known = frozenset(noun.lower() for noun in nouns if len(noun) > 2)
    return _compile(known).match(text[:_EXAMINED_CHARS]) is not None


_EXAMINED_CHARS = 400
