"""Deterministic CBOR (RFC 8949 section 4.2.1), the part that the protocol uses: no floats, no tags, definite lengths."""


class Malformed(ValueError):
    """The bytes are not deterministic CBOR of the kinds used here."""


def head(major, value):
    """The shortest head of a major type."""
    if value < 24:
        return bytes([major << 5 | value])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * size:
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError("integer beyond 64 bits")


def encode(value):
    """Encode None, bool, int, bytes, str, list or a dict with text keys."""
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        pairs = sorted((encode(key), encode(item)) for key, item in value.items())
        return head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
    raise TypeError(f"no CBOR image of {type(value)}")


def decode(data):
    """Decode one item that fills the data; refuses every other spelling of it."""
    value, end = decode_item(data, 0)
    if end != len(data) or encode(value) != data:
        raise Malformed("not the deterministic encoding")
    return value


def decode_item(data, at):
    """The item at an offset and the offset after it; lengths beyond the data are refused before use."""
    if at >= len(data):
        raise Malformed("cut off")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        simple = {20: False, 21: True, 22: None}
        if info not in simple:
            raise Malformed("unused simple value or float")
        return simple[info], at
    if info > 27:
        raise Malformed("indefinite length")
    if info < 24:
        value = info
    else:
        size = 1 << info - 24
        if at + size > len(data):
            raise Malformed("cut off")
        value = int.from_bytes(data[at : at + size], "big")
        at += size
    return decode_body(major, value, data, at)


def decode_body(major, value, data, at):
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major == 6 or value > len(data) - at:
        raise Malformed("tag, or length beyond the data")
    if major == 2:
        return data[at : at + value], at + value
    if major == 3:
        return data[at : at + value].decode("utf-8"), at + value
    if major == 4:
        items = []
        for _ in range(value):
            item, at = decode_item(data, at)
            items.append(item)
        return items, at
    pairs = {}
    for _ in range(value):
        key, at = decode_item(data, at)
        item, at = decode_item(data, at)
        if not isinstance(key, str) or key in pairs:
            raise Malformed("key is no text, or repeated")
        pairs[key] = item
    return pairs, at
