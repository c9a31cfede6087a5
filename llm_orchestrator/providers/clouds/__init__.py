"""Providers that a cloud hosts: Azure, Bedrock and Vertex."""
