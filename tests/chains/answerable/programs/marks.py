def bold(name: str) -> str:
    """Writes a name in bold, as Markdown does."""
    return "**" + name + "**"


def heading(text: str, level: int) -> str:
    # never deeper than six
    return "#" * min(level, 6) + " " + text


def wildcard(pattern: str) -> bool:
    """Whether a pattern has a wildcard: a star or a question mark."""
    return "*" in pattern or "?" in pattern
