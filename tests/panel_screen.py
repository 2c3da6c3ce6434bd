"""What a panel shows, taken apart, for the tests of panels."""

from html.parser import HTMLParser


class _Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def screen(panel):
    """[(tag, attributes)] of what the panel shows below its controls."""
    return _Tags(panel.ui.children[1].value).tags


def tags(text):
    return _Tags(text).tags
