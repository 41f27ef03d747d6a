"""What came of opening a page, in any browser."""

PAGE = """JSON.stringify([document.title, location.href,
    (performance.getEntriesByType('navigation')[0] || {}).nextHopProtocol || ''])"""


class Visit:
    """What came of opening a page."""

    def __init__(self, seconds, error="", title="", url="", protocol="", packets=0):
        self.seconds, self.error, self.title = seconds, error, title
        self.url, self.protocol, self.packets = url, protocol, packets

    def __repr__(self):
        return (f"<{self.title or self.error} {self.protocol} {self.seconds:.2f} s, "
                f"{self.packets} UDP packets, {self.url}>")
