"""From what an application gives to one checked ``LLMRequest``."""
