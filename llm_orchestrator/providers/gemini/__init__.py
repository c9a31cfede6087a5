"""The JSON of Gemini's GenerateContent protocol, and the way to its SDK."""
