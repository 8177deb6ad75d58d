"""Who may come in: keys, browser sessions and sign-in links."""
