"""What several tests draw from: JSON of any shape, and the records of an export."""

from hypothesis import strategies as st

characters = st.characters(exclude_categories=["Cs"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(characters),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(characters), inner, max_size=4),
    max_leaves=20,
)

# Records of an export: as Altcraft documents them, and as nothing excludes them.
TIMES = st.datetimes().map(lambda time: time.isoformat(timespec="seconds") + "Z")
ODD_TIMES = st.one_of(TIMES, st.sampled_from(["", "false", None, False, True]))
TRICKY = [
    '},{"code":"x"}',
    '"}],"error":0}',
    "\\",
    '\\"',
    '"attached":"2024',
    "</data><data>",
    "<code>",
    "a\nb",
    "\u2028",
    "Код-5 🎁",
]
TEXTS = st.one_of(st.text(max_size=12), st.sampled_from(TRICKY))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
TIME_NAMES = ("attached", "activated", "expire_date", "expired")
USUAL = st.fixed_dictionaries({"code": TEXTS}, optional=dict.fromkeys(TIME_NAMES, TIMES))
ANY = st.builds(
    lambda others, known: others | known,
    st.dictionaries(TEXTS.filter(lambda name: name not in (*TIME_NAMES, "code")), VALUES, max_size=2),
    st.fixed_dictionaries({"code": TEXTS}, optional=dict.fromkeys(TIME_NAMES, ODD_TIMES)),
)
