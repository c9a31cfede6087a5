"""Tests of spans and metrics, with OpenTelemetry's own SDK."""
