"""What a tenant's policies do round a capability: guards before and behind it, and personal data in its answers."""
