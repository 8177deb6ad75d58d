"""What a tenant has decided for itself: how personal data is handled, what is guarded, and who may see its data."""
