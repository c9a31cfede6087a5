"""Gemini through google-generativeai, the SDK before google-genai."""
