"""The JSON of OpenAI's two protocols, Chat and Responses."""
