"""OpenAI's API at `/v1`: its official clients, and what takes their base URL, work unchanged. See docs/openai.md."""
