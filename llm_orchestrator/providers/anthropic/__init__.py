"""The JSON of Anthropic's Messages protocol."""
