"""Experiments on versions of aliases: begun and ended (`book`), what their units came to (`outcomes`), what that says
(`analysis`), and when they end by themselves (`ending`)."""
