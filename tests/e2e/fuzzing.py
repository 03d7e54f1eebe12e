"""What schemathesis loads as its hooks: how to make a text of the format that docs/openapi.yaml calls `printable`."""

import schemathesis
from hypothesis import strategies as st

schemathesis.openapi.format(
    "printable",
    st.text(min_size=1, max_size=255).filter(lambda text: text.isprintable() and bool(text.strip())),
)
