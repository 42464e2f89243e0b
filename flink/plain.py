"""The patterns of an event written plainly: as orjson or json.dumps write one that keeps every rule of its strings.

Java matches a class that lists its characters by one look into a table, and tests a class of ranges range by range:
hence the lists. What these patterns do not know is no error; such a record takes the way through the parser.
"""

from __future__ import annotations

from clicklake import events

_DIGITS = "0123456789"
_HEX = f"[{_DIGITS}abcdefABCDEF]"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUE = rf"[{_DIGITS}{_LETTERS}/_.:%?=&+~!()*;@#\-]"
"""What a value is made of; a url with other characters is not plain."""
_UUID = "-".join(f"{_HEX}{{{digits}}}" for digits in (8, 4, 4, 4, 12))
_MINUTES = f"[012345][{_DIGITS}]"
_TIMESTAMP = (
    rf"20[{_DIGITS}][{_DIGITS}]-(?:0[123456789]|1[012])-(?:0[123456789]|[12][{_DIGITS}]|3[01])"
    rf"T(?:[01][{_DIGITS}]|2[0123]):{_MINUTES}:{_MINUTES}Z"
)
_NUMBER = rf"-?(?:0|[123456789][{_DIGITS}]{{0,2}})(?:\.[{_DIGITS}]{{1,17}})?"

VALUE = f': ?"?({_VALUE}+)'
"""Found over and over in a plain event, its group is each value in turn, geo_location giving its two numbers."""


def event_pattern() -> str:
    """Pattern of a plain event: fields in the contract's order, timestamps to the second in UTC."""
    uuid = f'"{_UUID}"'
    forms = {
        "event_id": uuid,
        "user_id": uuid,
        "event_type": _one_of(events.EVENT_TYPES),
        "url": f'"/{_VALUE}{{0,{events.URL_MAX_CHARS - 1}}}"',
        "session_id": uuid,
        "device": _one_of(events.DEVICES),
        "timestamp": f'"{_TIMESTAMP}"',
        "geo_location": _object(dict.fromkeys(events.GEO_FIELDS, _NUMBER)),
        "purchase_amount": f"(?:null|{_NUMBER})",
    }
    return rf"^{_object({name: forms[name] for name in events.FIELDS})}(?![\s\S])"


def _one_of(names: tuple[str, ...]) -> str:
    return f'"(?:{"|".join(names)})"'


def _object(members: dict[str, str]) -> str:
    return r"\{" + ", ?".join(f'"{name}": ?{form}' for name, form in members.items()) + r"\}"
