"""Kill switches: models, providers and tenants that administrators have switched off, in every process within a second."""
