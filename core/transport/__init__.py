"""How data travels: the certificate that the platform is served by, whom it trusts outward, and where plaintext may be."""
