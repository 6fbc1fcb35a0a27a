"""Cases of keys, signatures, structured hashes and JSON."""

from . import protocol as p
from . import secp256k1 as ec
from .json_text import MAX_INTEGER
from .selftest import BIP340
from .sources import SEQ_PRIV, case, digest, hex_of, no_curve_x, priv, pub


def key():
    edges = {"one": 1, "two": 2, "n_less_1": ec.N - 1, "n_less_2": ec.N - 2, "half": ec.N // 2, "high_bit": 1 << 255}
    rows = [case(name, priv=ec.be32(value).hex()) for name, value in edges.items()]
    return rows + [case(f"hashed_{i}", priv=priv(f"hashed {i}")) for i in range(10)]


def signature():
    rows = []
    for i in range(8):
        rows.append(case(f"signed_{i}", {"valid": True}, priv=priv(f"signer {i}"), message=hex_of(f"message {i}")))
    for number, (secret, message, _, sig) in enumerate(BIP340):
        rows.append(case(f"bip340_key_{number}_aux_zero", {"valid": True}, priv=secret, message=message))
        official = dict(pub=p.pub_hex(secret), message=message, sig=sig)
        rows.append(case(f"bip340_vector_{number}", {"valid": True}, **official))
    return rows + [case(name, {"valid": False}, **given) for name, given in bad_signatures().items()]


def bad_signatures():
    d, point = ec.even_secret(bytes.fromhex(priv("forger")))
    key_bytes, message = ec.be32(point[0]), digest("forged message")
    good = ec.sign(bytes.fromhex(priv("forger")), message)
    r, s = good[:32], int.from_bytes(good[32:], "big")
    found = {
        "other_message": (key_bytes, digest("another message"), good),
        "other_key": (bytes.fromhex(pub("not the forger")), message, good),
        "s_bit_flipped": (key_bytes, message, r + ec.be32(s ^ 1)),
        "r_bit_flipped": (key_bytes, message, ec.be32(int.from_bytes(r, "big") ^ 1) + good[32:]),
        "s_negated": (key_bytes, message, r + ec.be32(ec.N - s)),
        "s_is_n": (key_bytes, message, r + ec.be32(ec.N)),
        "r_is_p": (key_bytes, message, ec.be32(ec.P) + good[32:]),
        "r_off_the_curve": (key_bytes, message, no_curve_x("r") + good[32:]),
        "pub_off_the_curve": (no_curve_x("pub"), message, good),
        "pub_is_p": (ec.be32(ec.P), message, good),
        "pub_beyond_p": (b"\xff" * 32, message, good),
        "nonce_with_odd_y": (key_bytes, message, odd_nonce(d, key_bytes, message)),
        "infinite_nonce": (key_bytes, message, infinite_nonce(d, key_bytes, message)),
        "all_zero": (key_bytes, message, bytes(64)),
    }
    return {name: dict(pub=k.hex(), message=m.hex(), sig=sig.hex()) for name, (k, m, sig) in found.items()}


def odd_nonce(d, key_bytes, message):
    """Satisfies the equation with a nonce point of odd y, which BIP-340 refuses."""
    k = next(k for k in range(1, 100) if ec.mul_base(k)[1] % 2)
    r = ec.be32(ec.mul_base(k)[0])
    return r + ec.be32((k + ec.challenge(r, key_bytes, message) * d) % ec.N)


def infinite_nonce(d, key_bytes, message):
    """s·G − e·P is the point at infinity, with r = 0."""
    return bytes(32) + ec.be32(ec.challenge(bytes(32), key_bytes, message) * d % ec.N)


def ed25519():
    rows = [case(f"log_key_{i}", seq_priv=SEQ_PRIV, enclave=hex_of(f"enclave {i}")) for i in range(4)]
    return rows + [case("other_sequencer", seq_priv=priv("other sequencer"), enclave=hex_of("enclave 0"))]


def structured_hash():
    texts = {f"text_{n}": "t" * n for n in (1, 23, 24, 255, 256)}
    texts |= {"text_astral": "𝄞é\u0001", "text_max": "\U0010ffff"}
    raw = {f"bytes_{n}": {"bytes": "a5" * n} for n in (1, 23, 32, 64, 255, 65536 // 64)}
    ints = {f"uint_{n}": n for n in (1, 10, 25, 255, 1000, 65537, 2**32 + 1, 2**53 - 2)}
    lists = {
        "list_23": ["y"] * 23,
        "list_256": ["z"] * 256,
        "list_of_ints": [0, 23, 24, 2**32],
        "list_deep": [[[[]]], [["a"]]],
        "list_with_bytes": [{"bytes": "00ff"}, "x", 1],
    }
    rows = [case(name, prefix=0x10, fields=[value]) for name, value in (texts | raw | ints | lists).items()]
    for prefix in (0x01, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22):
        rows.append(case(f"prefix_{prefix:02x}", prefix=prefix, fields=[{"bytes": hex_of("l")}, {"bytes": hex_of("r")}]))
    rows.append(case("fields_25", prefix=0x11, fields=list(range(25))))
    return rows


# Members in an order that is neither that of code points nor that of UTF-8 bytes: U+E000 and U+FFFD come after the
# surrogates of the astral characters.
UTF16_ORDER = {"\uffff": 1, "\ue000": 2, "\U00010000": 3, "\U0010ffff": 4, "\ud7ff": 5, "é": 6, "z": 7, "\u0001": 8}


def content_values():
    controls = "".join(map(chr, range(1, 32)))
    return {
        "controls": controls,
        "controls_as_keys": {c: i for i, c in enumerate("\b\t\n\f\r\u0001\u001f")},
        "not_escaped": "\u007f\u0080\u2028\u2029\ufeff/<>&'",
        "quotes": "\"\\\"\\\\\"",
        "utf16_order": UTF16_ORDER,
        "astral_keys": {"\U0001f600": 1, "\ufb33": 2, "\u20ac": 3, "1": 4, "\u0080": 5, "\r": 6, "\u00f6": 7},
        "prefix_keys": {"a": 1, "a\u0001": 2, "a!": 3, "aa": 4, "": 5, "A": 6},
        "number_keys": {"10": 1, "9": 2, "1": 3, "02": 4},
        "not_normalised": ["\u00e9", "e\u0301"],
        "noncharacters": "\ufffe\uffff\U0001fffe",
        "bools": [True, False, None, [True], {"": False}],
        "integers": [0, 1, -1, 9, 10, MAX_INTEGER, -MAX_INTEGER, 4294967296],
        "deep_object": {"a": {"b": {"c": {"d": {"e": {}}}}}},
        "mixed": {"z": [{"y": [{"x": None}, []]}, "w"], "a": {"": [[]]}},
        "long": "abcdefghijklmnopqrstuvwxyz0123456789" * 40,
        "many_members": {f"k{i}": i for i in range(40)},
    }


def content_hash():
    return [case(name, content=value) for name, value in content_values().items()]


def string_and_value():
    pairs = {
        "move": ('{"target":"x","to":"y"}', {"target": "x", "to": "y"}),
        "negative": ("-7", -7),
        "false": ("false", False),
        "list": ("[1,2]", [1, 2]),
        "empty_object": ("{}", {}),
        "nested": ('{"a":[{"b":null}]}', {"a": [{"b": None}]}),
        "escape": ('"\\n"', "\n"),
    }
    return [case(name, {"equal": False}, string=s, value=v) for name, (s, v) in pairs.items()]


def nested(depth):
    """A text of arrays and objects in turn, of a given nesting."""
    halves = ['{"k":' if i % 2 else "[" for i in range(depth)]
    ends = ["}" if i % 2 else "]" for i in reversed(range(depth))]
    return "".join(halves) + "0" + "".join(ends)


NOT_STRUCTURE = {
    "exponent_upper": "1E5", "exponent_signed": "1e-2", "exponent_plus": "[1e+0]", "zero_float": "0.0",
    "minus_zero_float": "-0.0", "exponent_huge": "1e400", "exponent_zero": "0e0", "float_in_object": '{"n":2.50}',
    "digits_17": "90071992547409910", "digits_400": "1" + "0" * 400, "minus_digits_30": "-" + "9" * 30,
    "uint_64_max": "18446744073709551615", "minus_zero_list": "[0,-0]", "minus_zero_spaced": " -0 ",
    "duplicate_empty": '{"":1,"":2}', "duplicate_apart": '{"a":1,"b":2,"a":3}',
    "duplicate_short_escape": '{"\\n":1,"\\u000a":2}', "duplicate_astral": '{"😀":1,"\\ud83d\\ude00":2}',
    "duplicate_solidus": '{"/":1,"\\/":2}', "duplicate_case_of_hex": '{"\\u00e9":1,"\\u00E9":2}',
    "duplicate_values_differ_in_kind": '{"k":[],"k":{}}', "nul_alone": '"\\u0000"', "nul_deep": '[{"a":["\\u0000"]}]',
    "nul_at_end": '"abc\\u0000"', "high_alone": '"\\ud800"', "high_at_end": '"ab\\udbff"', "high_high": '"\\ud83d\\ud83d"',
    "high_then_letter": '"\\ud83dx"', "high_then_escape": '"\\ud83d\\n"', "low_after_pair": '"\\ud83d\\ude00\\ude00"',
    "low_upper_hex": '"\\uDFFF"', "lone_in_deep_key": '[{"\\udc00":0}]', "depth_65_mixed_other": nested(65),
    "depth_65_objects": '{"":' * 64 + "{}" + "}" * 64, "depth_65_arrays": "[" * 65 + "]" * 65,
    "depth_66": nested(66), "depth_2000": "[" * 2000 + "]" * 2000,
}

NOT_JSON = {
    "space_only": " \t\r\n", "bare_word": "hello", "true_upper": "True", "true_cut": "tru", "true_longer": "truee",
    "nan": "NaN", "infinity": "-Infinity", "hex_number": "0x10", "octal": "010", "minus_alone": "-", "minus_leading_zero": "-01",
    "point_alone": "1.", "point_first": ".5", "exponent_empty": "1e", "exponent_sign_alone": "1e+", "underscore": "1_000",
    "string_open": '"abc', "string_backslash_end": '"abc\\"', "escape_unknown": '"\\x41"', "escape_upper_u": '"\\U0041"',
    "escape_short": '"\\u12"', "escape_no_hex": '"\\u12g4"', "tab_raw": '"a\tb"', "newline_raw": '"a\nb"', "nul_raw": '"a\0b"',
    "single_quotes": "'a'", "object_open": '{"a":1', "array_open": "[1", "array_no_comma": "[1 2]", "array_only_comma": "[,]",
    "array_first_comma": "[,1]", "object_trailing_comma": '{"a":1,}', "object_no_colon": '{"a" 1}', "object_no_value": '{"a":}',
    "object_key_number": "{1:2}", "object_key_bare": "{a:1}", "object_two_colons": '{"a"::1}', "brackets_crossed": "[{]}",
    "close_only": "]", "two_numbers": "1 2", "trailing_text": "{} x", "comment": "{}//x", "comment_block": "/**/{}",
    "form_feed": "\f{}", "vertical_tab": "[1,\x0b2]", "no_break_space": "\u00a0{}", "line_separator": "[1,\u20282]",
    "bom_between": "[\ufeff1]", "bom_twice": "\ufeff\ufeff1",
}

ACCEPTED = {
    "depth_64_mixed": nested(64), "depth_64_objects": '{"":' * 63 + "{}" + "}" * 63, "max": str(MAX_INTEGER), "minus_one": "-1",
    "max_minus_one_deep": f"[[{MAX_INTEGER - 1}]]", "all_escapes": '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041"',
    "escape_upper_hex": '"\\u00E9\\u00e9"', "escaped_controls": '"\\u0001\\u001f\\u007f"',
    "escaped_short_forms": '"\\u0008\\u000a\\u0022\\u005c"',
    "pair_upper_hex": '"\\uD834\\uDD1E"', "pair_raw": '"𝄞"', "pair_mixed_case": '"\\uD834\\udd1e"', "del_raw": '"\x7f"',
    "separators_raw": '"\u2028\u2029"', "noncharacter": '"\\uffff"',
    "bom_inside_a_string": '"\ufeff"', "escaped_bom": '"\\ufeff"',
    "whitespace": '\t\r\n [ \t1 ,\r\n2 ] \n', "empty_containers": '[ { } , [ ] , "" ]', "literals": "[true,false,null]",
    "sorted_by_utf16": '{"\uffff":1,"\ue000":2,"😀":3,"z":4,"\\ud834\\udd1e":5}', "key_escapes": '{"\\u0062":1,"\\/":2,"a":3}',
    "same_key_in_siblings": '[{"a":1},{"a":1}]', "same_key_in_child": '{"a":{"a":{"a":1}}}',
    "normal_forms_differ": '{"é":1,"e\u0301":2}',
    "key_case_differs": '{"a":1,"A":2}', "looks_like_a_number": '["1.5","-0","1e3"]', "nul_spelled_out": '"\\\\u0000"',
    "lone_surrogate_spelled_out": '"\\\\ud800"',
}

BYTES = {
    "continuation_alone": "2280" + "22", "overlong_slash": "22c0af22", "overlong_nul": "22c08022", "cut_sequence": "22e28222",
    "surrogate_in_utf8": "22eda08022", "pair_in_utf8": "22eda0b4edb49e22", "beyond_unicode": "22f490808022",
    "five_bytes": "22f88888888022",
    "latin_1": "22e922", "utf_16": "feff005b005d", "utf_16_le": "5b005d00", "utf_8_bom": "efbbbf7b7d", "bytes_after": "7b7dff",
}


def json_refused():
    rows = [case(n, {"error": "invalid_structure"}, json=t) for n, t in NOT_STRUCTURE.items()]
    return rows + [case(n, {"error": "invalid_json"}, json=t) for n, t in NOT_JSON.items()]


def json_accepted():
    return [case(n, {"rfc8785": ...}, json=t) for n, t in ACCEPTED.items()]


def json_bytes_refused():
    return [case(n, {"error": "invalid_json"}, hex=h) for n, h in BYTES.items()]


def commit_depth():
    rows = [case(f"mixed_{depth}", {"error": None}, content=nested(depth)) for depth in (1, 54, 55)]
    rows += [case(f"mixed_{depth}", {"error": "invalid_structure"}, content=nested(depth)) for depth in (56, 64)]
    return rows + [case("scalar", {"error": None}, content="1")]


GROUPS = {
    "key": key,
    "signature": signature,
    "ed25519": ed25519,
    "H": structured_hash,
    "content_hash": content_hash,
    "content_string_and_value_differ": string_and_value,
    "json_refused": json_refused,
    "json_accepted": json_accepted,
    "json_bytes_refused": json_bytes_refused,
    "commit_depth": commit_depth,
}
