"""Mail from IMAP, mbox, Maildir and folders of .eml files: read, never marked, one row a message."""

from sources.mailbox.load import load
from sources.mailbox.settings import MailboxSettings
from sources.mailbox.tables import DATASET, TABLES

__all__ = ["DATASET", "TABLES", "MailboxSettings", "load"]
