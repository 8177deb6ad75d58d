"""OpenAI's wire format over the capabilities' runnables: what its clients send, and what they expect back. No HTTP here."""
