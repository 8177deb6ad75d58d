"""The dashboard: what happens now, told to everybody who watches, and asked of the database once for all of them."""
