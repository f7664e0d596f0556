"""When a test runs: with every change, or only where there is time for all of them.

`make test` runs the tier EVERY_CHANGE, `make test-all` both. A test says where it belongs: `@boot_test(tier=ALL)`,
`@only_in(ALL)` above a function of a host module, `# tier: all` at the head of a guest test. Without a word
it runs with every change.
"""

EVERY_CHANGE, ALL = "test", "all"


def only_in(tier: str):
    """Marks a test function of a host module."""

    def mark(function):
        function.tier = known(tier)
        return function

    return mark


def of(function) -> str:
    return getattr(function, "tier", EVERY_CHANGE)


def known(tier: str) -> str:
    if tier not in (EVERY_CHANGE, ALL):
        raise ValueError(f"no tier {tier!r}: {EVERY_CHANGE} or {ALL}")
    return tier
