"""Conversations by session, in a SQLite file or in a database: saved, loaded and listed."""

from llm_orchestrator.conversation_store.store import ConversationStore, SavedConversation

__all__ = ["ConversationStore", "SavedConversation"]
